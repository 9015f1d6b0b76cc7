# Sourced: follows what the documentation says, word for word, as a reader would.
# shellcheck shell=bash

# A directory like a clone of the project, and the programs that the documentation takes for granted.
make_reader() {
  reader=$cluster/reader
  forwards=()
  mkdir -p "$reader" "$cluster/bin"
  ln -sfn "$root/helm" "$reader/helm"
  ln -sfn "$root/deploy" "$reader/deploy"
  echo 123456789:secret >"$reader/token.txt"
  ln -sf "$(command -v "$helm")" "$cluster/bin/helm"
  ln -sf "$root/target/image/unpacked/root/switchboard" "$cluster/bin/switchboard"
}

# commands HEADING: what stands in the blocks of shell of a section of docs/kubernetes.md.
commands() {
  awk -v heading="## $1" '
    /^## / { inside = $0 == heading; next }
    /^```/ { block = inside && $0 == "```sh"; next }
    block' "$root/docs/kubernetes.md"
}

# follow COMMAND [MORE]: it succeeds; and without a remark, but for what the gateway's own commands say. MORE is what the
# documentation cannot know of this cluster.
follow() {
  case $1 in
    *port-forward*) forward "$1" ;;
    *" exec "* | *"switchboard backup "*) holds "$1" as_reader "$1" ;;
    # A wait that is in vain need not take as long as the documentation allows.
    *--timeout=10m) quiet "$1" as_reader "${1/%--timeout=10m/--timeout=60s}" ;;
    "helm "*" test "* | "helm test "*) quiet "$1" as_reader "$1 --logs" ;;
    *) quiet "$1" as_reader "$1 ${2:-}" ;;
  esac
}

# as_reader COMMANDS: replaces the shell that it is called in, so it is for subshells.
as_reader() {
  cd "$reader"
  PATH=$cluster/bin:$PATH exec bash -euo pipefail -c "$1"
}

# forward COMMAND: in the background, until end_forwards.
forward() {
  local command=${1% &} said
  said=$(mktemp "$cluster/forward.XXXX")
  as_reader "exec $command" >"$said" 2>&1 &
  forwards+=($!)
  eventually "$1" grep -q 'Forwarding from' "$said"
}

end_forwards() {
  local process
  for process in "${forwards[@]}"; do
    kill "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  forwards=()
}
