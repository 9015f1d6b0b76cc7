# Sourced by scripts/test-release: what is packed into files.
# shellcheck shell=bash

# program VERSION FILE FLAG...: a program that says this version, as cc makes it with these flags.
program() {
  local version=$1 file=$2
  shift 2
  echo "#include <stdio.h>
int main(void) { puts(\"switchboard $version\"); return 0; }" | cc -x c - "$@" -o "$file"
}

test_binary() {
  local here=amd64 other=arm64 out=$directory/binary
  if [ "$(uname -m)" = aarch64 ]; then here=arm64 other=amd64; fi
  program 1.2.3 "$directory/static" -static
  program 1.2.4 "$directory/newer" -static
  program 1.2.3 "$directory/dynamic"

  accepts "a static binary" scripts/package-binary 1.2.3 "$here" "$directory/static" "$out"
  gives "all that belongs to it is with it" "switchboard-1.2.3-linux-$here/
switchboard-1.2.3-linux-$here/CHANGELOG.md
switchboard-1.2.3-linux-$here/LICENSE-APACHE
switchboard-1.2.3-linux-$here/LICENSE-MIT
switchboard-1.2.3-linux-$here/README.md
switchboard-1.2.3-linux-$here/switchboard
switchboard-1.2.3-linux-$here/switchboard.example.toml
switchboard-1.2.3-linux-$here/switchboard.service" tar -tzf "$out/switchboard-1.2.3-linux-$here.tar.gz"
  local first
  first=$(sha256sum <"$out/switchboard-1.2.3-linux-$here.tar.gz")
  scripts/package-binary 1.2.3 "$here" "$directory/static" "$out" 2>/dev/null
  gives "the same files give the same bytes" "$first" sha256sum <"$out/switchboard-1.2.3-linux-$here.tar.gz"

  refuses "one that needs libraries" "it is not static" scripts/package-binary 1.2.3 "$here" "$directory/dynamic" "$out"
  refuses "one of another version" "it says \`switchboard 1.2.4\`" scripts/package-binary 1.2.3 "$here" "$directory/newer" "$out"
  refuses "one of another architecture" "it is not for $other" scripts/package-binary 1.2.3 "$other" "$directory/static" "$out"
  refuses "an unknown architecture" "no releases are made for \`mips\`" scripts/package-binary 1.2.3 mips "$directory/static" "$out"
  refuses "what is no binary" "is not packaged" scripts/package-binary 1.2.3 "$here" README.md "$out"
}

# In the repository itself: cargo needs all of it.
test_sbom() {
  cd "$root"
  local architecture file
  for architecture in amd64 arm64; do
    file=$directory/$architecture.json
    accepts "a list for $architecture" scripts/sbom "$architecture" "$file" libc6-dev=2.36-9+deb12u10 ca-certificates=20230311
    accepts "it is valid CycloneDX 1.6" "$tools/release-tests/bin/python" -c '
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(wrong and str(wrong))' "$file"
    accepts "it has what is linked in, the C library too, each with its checksum or version" jq -e '
      [.components[] | select(.hashes or (.purl | startswith("pkg:deb/"))) | .name] as $names |
      ($names | length) == (.components | length) and
      (["tokio", "tonic", "heed", "lmdb-master-sys", "libc6-dev", "ca-certificates"] - $names) == []' "$file"
    accepts "it has nothing of tests and of the build" jq -e '
      [.components[].name] as $names |
      ($names | map(select(IN("criterion", "proptest", "tempfile", "protox", "tonic-prost-build", "serde_derive", "cc")))) == []' "$file"
    accepts "each crate has a licence" jq -e '[.components[] | select(.purl | startswith("pkg:cargo/")) | select(.licenses | not)] == []' "$file"
    accepts "all that something depends on is listed" jq -e '
      ([.dependencies[].dependsOn[]] | unique) - ([.components[]["bom-ref"]] | unique) == []' "$file"
  done
  local first
  first=$(sha256sum <"$file")
  scripts/sbom arm64 "$file" ca-certificates=20230311 libc6-dev=2.36-9+deb12u10 2>/dev/null
  gives "the same commit gives the same bytes" "$first" sha256sum <"$file"
  refuses "an unknown architecture" "usage" scripts/sbom mips "$file"
  refuses "a package without its version" "usage" scripts/sbom amd64 "$file" libc6-dev
  refuses "a package that is not installed" "usage" scripts/sbom amd64 "$file" libgcc-7-dev=
}

test_chart() {
  local out=$directory/chart
  accepts "a fork's chart" scripts/package-chart Some-Body/Switch.Board "$out"
  local packed=$out/switchboard-1.2.3.tgz rendered
  gives "its values name the fork's image" "some-body/switch.board" \
    sed -nE 's/^  repository: //p' <(helm3 show values "$packed")
  gives "its page leads to the fork" "https://github.com/Some-Body/Switch.Board" \
    sed -nE 's/^home: //p' <(helm3 show chart "$packed")
  rendered=$(helm3 template x "$packed" --kube-version 1.30.0 --api-versions monitoring.coreos.com/v1 \
    --set bot.existingSecret=bot --set metrics.prometheusRule.enabled=true)
  gives "its alerts lead to the fork's runbooks of this version" \
    "https://github.com/Some-Body/Switch.Board/blob/v1.2.3/docs/alerts.md" \
    sed -nE 's/^ *runbook_url: "?([^#"]*).*/\1/p;T;q' <<<"$rendered"
  accepts "the repository's own chart" scripts/package-chart switchboard/switchboard "$out"
  refuses "what is no repository" "usage" scripts/package-chart 'a b/c' "$out"
  sed -i 's/^  tag: .*/  tag: "9.9.9"/' helm/switchboard/values.yaml
  refuses "a chart that would run another version's image" "it runs
ghcr.io/some-body/switch.board:9.9.9" scripts/package-chart Some-Body/Switch.Board "$out"
  sed -i 's/^  repository: .*/  repository: elsewhere\/switchboard/' helm/switchboard/values.yaml
  refuses "values whose image is not the repository's" "it has it 0 times" scripts/package-chart Some-Body/Switch.Board "$out"
}

test_manifests() {
  local out=$directory/manifests
  accepts "a fork's manifests" scripts/package-manifests Some-Body/Switch.Board "$out"
  local text
  text=$(tar -xzOf "$out/switchboard-1.2.3-kubernetes.tar.gz")
  gives "they name the fork's image, and no other gateway's" "ghcr.io/some-body/switch.board:1.2.3" \
    sort -u <(grep -oE 'ghcr\.io/[^"@ ]*' <<<"$text")
  sed -i 's/switchboard:1\.2\.3/switchboard:1.2.2/' deploy/kubernetes/*.yaml
  refuses "manifests of another version" "has an image of another version" scripts/package-manifests a/b "$out"
  rm -r deploy/kubernetes
  mkdir deploy/kubernetes
  echo "kind: Service" >deploy/kubernetes/service.yaml
  refuses "manifests without the gateway" "no manifest in deploy/kubernetes has the image" scripts/package-manifests a/b "$out"
}

test_descriptors() {
  accepts "a descriptor set" scripts/package-descriptors 1.2.3 "$directory/descriptors"
  gives "grpcurl finds the services in it" "switchboard.v1.AdminService
switchboard.v1.DeliveryService" grpcurl -protoset "$directory/descriptors/switchboard-1.2.3.binpb" list
}
