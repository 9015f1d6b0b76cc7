# Sourced by the scripts beside it: where tools go, and their versions. Everything downloaded stays below target/tools
# (or SWITCHBOARD_TOOLS_DIR), so that removing it undoes everything.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${SWITCHBOARD_TOOLS_DIR:-$root/target/tools}
mkdir -p "$tools/bin"
export PATH="$tools/bin:$tools/npm/node_modules/.bin:$PATH"
export GOPATH="$tools/go" GOCACHE="$tools/go-build" GOBIN="$tools/bin" npm_config_cache="$tools/npm-cache" PIP_CACHE_DIR="$tools/pip-cache"
export npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false PIP_DISABLE_PIP_VERSION_CHECK=1

grpcurl_version=v1.9.4
protoc_gen_go_version=v1.36.12
protoc_gen_go_grpc_version=v1.6.2
buf_version=1.75.0
cargo_deny_version=0.20.2
# Helm and its kin: scripts/chart/go.mod and requirements.txt. These two are only read: the schemas of custom resources, of the
# first Gateway API with GRPCRoute v1 and of a recent one.
gateway_api_versions="v1.1.0 v1.6.3"
prometheus_operator_version=v0.85.0
caddy_version=v2.11.9
hadolint_version=2.15.1
pyyaml_version=6.0.3

# need COMMAND DEBIAN_PACKAGES: takes the packages from apt where that is possible, else says what is missing.
need() {
  local command=$1
  shift
  if command -v "$command" >/dev/null; then return; fi
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "installing $* for \`$command\`" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >&2 || true
  fi
  if ! command -v "$command" >/dev/null; then
    echo "\`$command\` is needed and not installed (on Debian and Ubuntu: sudo apt-get install $*)" >&2
    exit 3
  fi
}

# once NAME INPUT...: true if the step NAME has not been done yet with these input files.
once() {
  local name=$1
  shift
  stamp=$tools/.done-$name
  sum=$(cat "$@" | cksum)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ]; then return 1; fi
}

# done_once: remembers the step that `once` found undone.
done_once() {
  echo "$sum" >"$stamp"
}
