# Sourced by scripts/test-release: what is pushed and published.
# shellcheck shell=bash

# start_registry: a registry on the loopback interface, at $registry.
start_registry() {
  if [ -n "$registry_pid" ]; then return; fi
  local port log=$directory/registry.log
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  registry=127.0.0.1:$port
  crane registry serve --address "$registry" >"$log" 2>&1 &
  registry_pid=$!
  until grep -q "serving on port" "$log"; do
    kill -0 "$registry_pid" || { cat "$log" >&2; exit 1; }
    sleep 0.1
  done
}

# push_platform ARCHITECTURE: pushes a tiny image for it by tag, and notes its digest as the release's build does.
push_platform() {
  local layer=$directory/layer-$1
  mkdir -p "$layer" "$directory/digests"
  echo "$1" >"$layer/switchboard"
  tar -cf "$layer.tar" -C "$layer" switchboard
  crane append --insecure --oci-empty-base --platform "linux/$1" --new_layer "$layer.tar" \
    --new_tag "$registry/some-body/switchboard:candidate-$1" >/dev/null 2>&1
  crane mutate --insecure --set-platform "linux/$1" --tag "$registry/some-body/switchboard:candidate-$1" \
    "$registry/some-body/switchboard:candidate-$1" >/dev/null 2>&1
  crane digest --insecure "$registry/some-body/switchboard:candidate-$1" >"$directory/digests/$1"
}

test_publishing() {
  start_registry
  test_push_chart
  test_push_image
  test_publish_release
}

test_push_chart() {
  scripts/package-chart some-body/switchboard "$directory/charts" 2>/dev/null
  local pushed
  pushed=$(PLAIN_HTTP=1 scripts/push-chart "$directory/charts/switchboard-1.2.3.tgz" "$registry/some-body/charts")
  gives "the chart is pushed, and its digest told" "name=$registry/some-body/charts/switchboard
digest=$(crane digest --insecure "$registry/some-body/charts/switchboard:1.2.3")" echo "$pushed"
  mkdir "$directory/pulled"
  accepts "it can be pulled again" helm3 pull --plain-http "oci://$registry/some-body/charts/switchboard" --version 1.2.3 \
    --destination "$directory/pulled"
  accepts "it is the one that was packed" cmp "$directory/pulled/switchboard-1.2.3.tgz" "$directory/charts/switchboard-1.2.3.tgz"
  refuses "a registry that is not there" "rror" env PLAIN_HTTP=1 scripts/push-chart \
    "$directory/charts/switchboard-1.2.3.tgz" 127.0.0.1:1/some-body/charts
}

test_push_image() {
  local image=$registry/some-body/switchboard
  push_platform amd64
  echo "not yet" >"$directory/digests/arm64"
  refuses "what is no digest" "has no digest in it: \`not yet\`" \
    scripts/push-image-index some-body/switchboard "$image" 1.2.3 "$directory/digests"
  push_platform arm64
  if ! docker buildx version >/dev/null 2>&1; then
    echo "skip the image's index: there is no docker buildx"
    skipped=$((skipped + 1))
    return
  fi
  local pushed digest
  pushed=$(scripts/push-image-index Some-Body/Switchboard "$image" 1.2.3 "$directory/digests" 2>"$directory/stderr") ||
    cat "$directory/stderr"
  digest=$(crane digest --insecure "$image:1.2.3")
  gives "the image of both platforms is pushed, and all digests told" "digest=$digest
amd64=$(cat "$directory/digests/amd64")
arm64=$(cat "$directory/digests/arm64")" echo "$pushed"
  crane manifest --insecure "$image:1.2.3" >"$directory/index.json"
  gives "it has both platforms" "linux/amd64 linux/arm64" \
    jq -r '[.manifests[].platform | "\(.os)/\(.architecture)"] | sort | join(" ")' "$directory/index.json"
  gives "it leads to the repository" "https://github.com/Some-Body/Switchboard" \
    jq -r '.annotations["org.opencontainers.image.source"]' "$directory/index.json"
  accepts "the floating tags move" scripts/move-floating-tags "$image" "$digest" 1.2.3
  gives "the latest is this very image" "$digest" crane digest --insecure "$image:latest"
  gives "and so is 1.2" "$digest" crane digest --insecure "$image:1.2"
}

# gh stands in for GitHub's: it writes down what it is asked.
fake_gh() {
  mkdir -p "$directory/fake"
  cat >"$directory/fake/gh" <<'GH'
#!/usr/bin/env bash
printf '%s\n' "$@" >"$(dirname "$0")/arguments"
cat >"$(dirname "$0")/notes"
GH
  chmod +x "$directory/fake/gh"
}

test_publish_release() {
  fake_gh
  local assets=$directory/assets digest
  digest=sha256:$(printf '0%.0s' {1..64})
  mkdir "$assets"
  touch "$assets/SHA256SUMS" "$assets/switchboard-1.2.3.tgz"
  local publish=(env "PATH=$directory/fake:$PATH" scripts/publish-release)
  local where=(Some-Body/Switchboard "ghcr.io/some-body/switchboard@$digest" "ghcr.io/some-body/charts/switchboard@$digest" "$assets")

  accepts "a release" "${publish[@]}" v1.2.3 "${where[@]}"
  gives "it is the latest, with all files" "release
create
v1.2.3
--repo
Some-Body/Switchboard
--verify-tag
--title
1.2.3
--latest
--notes-file
-
$assets/SHA256SUMS
$assets/switchboard-1.2.3.tgz" cat "$directory/fake/arguments"
  gives "its text begins with the changelog's section" "### Upgrading

- Take a backup first." head -n 3 "$directory/fake/notes"
  gives "its text tells the image and the chart" "- Image, for linux/amd64 and linux/arm64: \`ghcr.io/some-body/switchboard:1.2.3\`, \`$digest\`
- Chart: \`oci://ghcr.io/some-body/charts/switchboard\`, version \`1.2.3\`, \`$digest\`" \
    grep -E '^- (Image|Chart)' "$directory/fake/notes"

  git tag v1.3.0
  accepts "a fix of an old line" "${publish[@]}" v1.2.3 "${where[@]}"
  gives "it is not the latest" "--latest=false" grep -E '^--(latest|prerelease)' "$directory/fake/arguments"
  sed -i 's/^## \[1\.2\.3\]/## [2.0.0-rc.1]/' CHANGELOG.md
  accepts "a version before a release" "${publish[@]}" v2.0.0-rc.1 "${where[@]}"
  gives "it is marked so" "--latest=false
--prerelease" grep -E '^--(latest|prerelease)' "$directory/fake/arguments"

  rm "$directory/fake/arguments"
  refuses "a version that the changelog does not know" "says nothing of 1.2.3" "${publish[@]}" v1.2.3 "${where[@]}"
  accepts "it asks nothing of GitHub then" test ! -e "$directory/fake/arguments"
}
