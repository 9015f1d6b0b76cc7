# Sourced by scripts/test-release: the tag, the changelog, the names and the toolchain.
# shellcheck shell=bash

test_version() {
  accepts "a tag that all places name" scripts/check-version v1.2.3
  local tag
  for tag in '' v1 v1.2 1.2.3 v1.2.3.4 v01.2.3 'v1.2.3+4' 'v1.2.3-' 'v1.2.3-rc..1' 'v1.2.3;id' "v1.2.3
v1.2.3"; do
    refuses "the tag \`$tag\`" "is no version" scripts/check-version "$tag"
  done
  refuses "another version" "Cargo.toml says \`1.2.3\`, the tag says \`1.2.4\`" scripts/check-version v1.2.4
  refuses "no tag at all" "usage" scripts/check-version

  sed -i '0,/1\.2\.3/s//1.2.4/' Cargo.toml
  refuses "another version in Cargo.toml" "Cargo.toml says \`1.2.4\`" scripts/check-version v1.2.3
  make_copy
  sed -i '/^name = "switchboard"$/{n;s/1\.2\.3/1.2.4/}' Cargo.lock
  refuses "another version in Cargo.lock" "Cargo.lock says \`1.2.4\`" scripts/check-version v1.2.3
  make_copy
  sed -i 's/^version: .*/version: 1.2.4/' helm/switchboard/Chart.yaml
  refuses "another version of the chart" "Chart.yaml's version says \`1.2.4\`" scripts/check-version v1.2.3
  make_copy
  sed -i 's/^appVersion: .*/appVersion: "1.2.4"/' helm/switchboard/Chart.yaml
  refuses "another version in the chart" "Chart.yaml's appVersion says \`1.2.4\`" scripts/check-version v1.2.3
  sed -i 's/^appVersion: .*/appVersion: "1.2.3"/' helm/switchboard/Chart.yaml
  accepts "a quoted version in the chart" scripts/check-version v1.2.3
  sed -i '0,/switchboard\/switchboard:1\.2\.3/s//switchboard\/switchboard:1.2.4/' deploy/kubernetes/switchboard.yaml
  refuses "another image in the manifests" "deploy/kubernetes/switchboard.yaml:" scripts/check-version v1.2.3
  make_copy

  sed -i 's/^## \[1\.2\.3\].*/## [1.2.3]/' CHANGELOG.md
  refuses "a section without its date" "must be \`## [1.2.3] - YYYY-MM-DD\`" scripts/check-version v1.2.3
  sed -i 's/^## \[1\.2\.3\].*/## [1.2.33] - 2026-12-24/' CHANGELOG.md
  refuses "no section" "has no section" scripts/check-version v1.2.3
  make_copy
  sed -i '/^## \[1\.2\.3\]/,/^## \[1\.2\.2\]/s/^### Upgrading/### Changed/' CHANGELOG.md
  refuses "a section that does not begin with the upgrade" "must begin with \`### Upgrading\`" scripts/check-version v1.2.3
  sed -i '/^## \[1\.2\.3\]/,/^## \[1\.2\.2\]/{/^##/!d;/^###/d}' CHANGELOG.md
  refuses "an empty section" "says nothing of 1.2.3" scripts/check-version v1.2.3
}

test_notes() {
  gives "the section alone, with its lines joined and its code as it is" "### Upgrading

- Take a backup first.

### Added

- A thing:

  \`\`\`sh
  switchboard
    serve
  \`\`\`" scripts/release-notes 1.2.3
  gives "the last section, without the links below it" "- Old." scripts/release-notes 1.2.2
  refuses "a version that is not there" "says nothing of 1.2.4" scripts/release-notes 1.2.4
  refuses "a version that only looks alike" "says nothing of 1.2" scripts/release-notes 1.2
}

test_names() {
  gives "a repository's own names, in small letters" "version=1.2.3
image=ghcr.io/some-body/switch.board
charts=ghcr.io/some-body/charts" scripts/release-names v1.2.3 Some-Body/Switch.Board
  refuses "what is no repository" "usage" scripts/release-names v1.2.3 'a/b$(id)'

  gives "the first release is the latest" "latest
1.2" scripts/floating-tags 1.2.3
  local tag
  for tag in v1.2.3 v1.2.4-rc.1 v1.9.0 v1.10.0 v2.0.0-rc.1 vacation; do git tag "$tag"; done
  gives "a new release is the latest" "latest
1.11" scripts/floating-tags 1.11.0
  gives "a release is the latest when its own tag is there" "latest
1.10" scripts/floating-tags 1.10.0
  gives "1.9 is older than 1.10" "1.9" scripts/floating-tags 1.9.1
  gives "a fix of an old line" "1.2" scripts/floating-tags 1.2.4
  gives "an old release again, after a newer one of its line" "" scripts/floating-tags 1.2.2
  gives "a version before a release" "" scripts/floating-tags 2.0.0-rc.1
}

# rustup stands in for the real one: it writes down what it is asked.
test_toolchain() {
  mkdir "$directory/rustup"
  printf '#!/bin/sh\necho "$*"\n' >"$directory/rustup/rustup"
  chmod +x "$directory/rustup/rustup"
  accepts "the Dockerfile names a toolchain" env "PATH=$directory/rustup:$PATH" scripts/setup-rust
  sed -i 's/^ARG RUST_IMAGE=.*/ARG RUST_IMAGE=rust:1.99.1-bookworm/' Dockerfile
  gives "the image's toolchain becomes the default" \
    "toolchain install 1.99.1 --profile minimal --component clippy --component rustfmt --no-self-update
default 1.99.1" env "PATH=$directory/rustup:$PATH" scripts/setup-rust
  sed -i 's/^ARG RUST_IMAGE=.*/ARG RUST_IMAGE=rust:bookworm/' Dockerfile
  refuses "an image whose toolchain is not named" "has no line" env "PATH=$directory/rustup:$PATH" scripts/setup-rust
}
