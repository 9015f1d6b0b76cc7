# Sourced: docs/kubernetes.md and the notes that `helm install` prints, followed word for word. Nothing here reaches Telegram:
# where the documentation means a real bot, a simulator stands in for it.
# shellcheck shell=bash

documented() {
  make_reader
  begin "$helm-telegram"
  telegram=$namespace
  simulate_telegram
  tried_without_a_token
  for_a_real_bot
  commands_in_the_pod
  backup_and_restore
  end_forwards
  holds "helm uninstall shop" helm uninstall shop
  holds "all of it goes with the namespace" kubectl delete namespace bots --timeout "${patience}s"
}

tried_without_a_token() {
  local command
  heading "docs/kubernetes.md: Try it without a token"
  namespace=default
  kubectl label --overwrite namespace default pod-security.kubernetes.io/{enforce,warn}=restricted >/dev/null
  while read -r command; do
    if [[ $command == *uninstall* ]]; then notes; fi
    follow "$command"
  done < <(commands "Try it without a token")
  eventually "nothing is left of it" nothing_of try
}

nothing_of() {
  local left
  left=$(in_namespace get all,configmaps,secrets,persistentvolumeclaims -l "app.kubernetes.io/instance=$1" -o name)
  echo "$left"
  [ -z "$left" ]
}

# The commands of the notes are indented by five; those that go on are joined.
notes() {
  local command
  heading "what helm install says"
  while read -r command; do
    case $command in
      TOKEN=*) token=$command ;;
      grpcurl*) watch_updates "$token; exec $command" ;;
      *) follow "$command" ;;
    esac
  done < <("$helm" -n "$namespace" get notes try | sed -n 's/^     //p' | sed -e :a -e '/\\$/N; s/\\\n *//; ta')
  eventually "the message comes to who subscribed" grep -q "$(base64 <<<hello | head -c 6)\|hello" "$cluster/updates"
  kill "$subscriber" 2>/dev/null || true
  wait "$subscriber" || true

  token=$(as_reader "$token; echo \$TOKEN")
  holds "the live view is there" curl -fsS -o /dev/null http://localhost:9090/
  same "without the token it shows nothing" 401 "$(curl -s -o /dev/null -w '%{http_code}' http://localhost:9090/metrics)"
  holds "with it there are metrics" curl -fsS -o /dev/null -H "authorization: Bearer $token" http://localhost:9090/metrics
  end_forwards
}

watch_updates() {
  as_reader "$1" >"$cluster/updates" 2>&1 &
  subscriber=$!
  eventually "grpcurl … Subscribe" grep -q '"opened"' "$cluster/updates"
}

for_a_real_bot() {
  local command
  heading "docs/kubernetes.md: For a real bot"
  namespace=bots
  while read -r command; do
    case $command in
      *"helm -n bots install"*)
        follow "$command" "--set config.telegram.api_url=http://telegram.$telegram:8081 --set networkPolicy.egress.telegramPort=8081"
        ;;
      *) follow "$command" ;;
    esac
  done < <(commands "For a real bot")
}

commands_in_the_pod() {
  local command
  heading "docs/kubernetes.md: Commands in the pod"
  eventually "somebody writes to the bot" message 42 hello
  eventually "which comes to the gateway" chat_is_known 42
  while read -r command; do follow "$command"; done < <(commands "Commands in the pod")
  holds "the live view is there" curl -fsS -o /dev/null http://localhost:9090/
}

backup_and_restore() {
  local command token
  heading "docs/kubernetes.md: Backup and restore"
  token=$(in_namespace get secret shop-switchboard-access-token -o go-template='{{.data.token | base64decode}}')
  while read -r command; do
    # What comes after the backup is not in it.
    if [[ $command == *--replicas=0 ]]; then
      eventually "somebody writes after the backup" message 43 later
      eventually "which comes to the gateway" chat_is_known 43
      end_forwards
    fi
    follow "${command/TOKEN=…/TOKEN=$token}"
  done < <(commands "Backup and restore")
  waits "the gateway is ready again" pod/shop-switchboard-0 --for condition=Ready
  holds "what was in the backup is back" chat_is_known 42
  refused "what came after it is not" "no update of chat 43" chat_is_known 43
}

chat_is_known() { in_namespace exec shop-switchboard-0 -- /switchboard timeline --chat "$1"; }

# A simulator that is nobody's release.
simulate_telegram() {
  in_namespace create -f - >/dev/null <<'EOF'
apiVersion: v1
kind: Pod
metadata: {name: telegram, labels: {app: telegram}}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: simulator
      image: localhost/switchboard:test
      args: [simulate, --local, --idle, --listen=0.0.0.0:8081]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
EOF
  in_namespace expose pod telegram --port 8081 >/dev/null
  in_namespace wait pod/telegram --for condition=Ready --timeout "${patience}s" >/dev/null
}

# message CHAT TEXT
message() {
  kubectl -n "$telegram" exec telegram -- /switchboard trigger message.text --chat "$1" --text "$2" >/dev/null
}
