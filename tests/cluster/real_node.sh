# Sourced: a node that runs containers. It needs root, and namespaces of its own (scripts/test-cluster enters them), so that its
# addresses, rules and mounts are nobody else's and its processes end with the script.
# shellcheck shell=bash

node_address=10.0.0.1

# containerd, runc and the kubelet run pods; kube-proxy makes the Services' addresses work, kube-router enforces network
# policies, dnsmasq knows the Services' names.
start_node() {
  containerd_configuration >"$cluster/containerd.toml"
  mkdir "$cluster/names" "$cluster/network"
  network_configuration >"$cluster/network/pods.conflist"
  kubelet_configuration >"$cluster/kubelet.json"
  proxy_configuration >"$cluster/proxy.json"

  run containerd --config "$cluster/containerd.toml"
  needs containerd ctr_here version
  local image
  for image in "$tools"/node/*.tar "$root/target/image/unpacked/image.tar"; do ctr_here images import "$image" >/dev/null; done
  # By the name that the chart has for it.
  image=$(helm4 template switchboard "$chart" --set simulator.enabled=true | sed -n 's/^ *image: "\(.*\)"$/\1/p' | head -n 1)
  ctr_here images tag localhost/switchboard:test "$image" >/dev/null
  run kubelet --config "$cluster/kubelet.json" --kubeconfig "$cluster/kubelet.kubeconfig" --root-dir "$cluster/kubelet" \
    --cert-dir "$cluster/kubelet-keys" --hostname-override node --node-ip "$node_address"
  run kube-proxy --config "$cluster/proxy.json"
  run dnsmasq --keep-in-foreground --no-resolv --no-hosts --user=root --pid-file --listen-address "$node_address" \
    --bind-interfaces --local /cluster.local/ --hostsdir "$cluster/names"
  name_services &
  process_of[names]=$!
  make_volumes
  needs "the node" kubectl get node/node
  kubectl wait --for condition=Ready --timeout 60s node/node >/dev/null
  # Only now: it ends where it does not find its node.
  run kube-router --kubeconfig "$KUBECONFIG" --hostname-override node --run-firewall --run-router=false --run-service-proxy=false \
    --service-cluster-ip-range 10.96.0.0/16 --iptables-sync-period 2s
}

ctr_here() { ctr --address "$cluster/containerd.sock" --namespace k8s.io "$@"; }

# Before all else: a network with one address for the node, a control group for all pods, and kernel settings that the kubelet
# insists on: it reads and writes them in files of the directory, laid over the machine's own, which stay as they are.
prepare_machine() {
  export PATH="$tools/node/usr/sbin:$tools/node/usr/bin:$PATH"
  LD_LIBRARY_PATH=$tools/node/usr/lib/$(uname -m)-linux-gnu
  export LD_LIBRARY_PATH
  ip link set lo up
  ip link add node type bridge
  ip address add "$node_address/24" dev node
  ip link set node up
  # So that an address of a Service without endpoints is refused, and not unreachable.
  ip route add 10.96.0.0/16 dev node
  sysctl -q -w net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1

  local setting file
  for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
    file=$1/$(basename "${setting%=*}")
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
  done
  # Where containerd and plugins keep what they keep only while they run.
  mount -t tmpfs run /run
  control_group=switchboard-$(basename "$1")
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir "/sys/fs/cgroup/$control_group"
  else
    find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d -exec mkdir {}/"$control_group" \;
  fi
}

# Directories of this machine as volumes, with an owner for each pod as block devices have it.
make_volumes() {
  kubectl create -f - >/dev/null <<'EOF'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: local
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
EOF
  local number
  for number in {1..20}; do
    mkdir -p "$cluster/volumes/$number"
    kubectl create -f - >/dev/null <<EOF
apiVersion: v1
kind: PersistentVolume
metadata: {name: "volume-$number"}
spec:
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: local
  persistentVolumeReclaimPolicy: Retain
  local: {path: "$cluster/volumes/$number"}
  nodeAffinity:
    required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node]}]}]}
EOF
  done
}

# Service by Service, as they come: a file with its address and its name.
name_services() {
  local space name address
  kubectl get services --all-namespaces --watch \
    -o 'jsonpath={.metadata.namespace} {.metadata.name} {.spec.clusterIP}{"\n"}' |
    while read -r space name address; do
      if [ "$address" = None ]; then continue; fi
      echo "$address $name.$space.svc.cluster.local" >"$cluster/new-name"
      mv "$cluster/new-name" "$cluster/names/$space.$name"
    done
}

containerd_configuration() {
  cat <<EOF
version = 2
root = "$cluster/containerd"
state = "/run/containerd"
[grpc]
address = "$cluster/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$tools/node/usr/lib/cni"
conf_dir = "$cluster/network"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
EOF
}

network_configuration() {
  cat <<'EOF'
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true, "ipam":
    {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni"}}]}
EOF
}

# What Kubernetes' own defaults say, but for where this node is: on a machine with its own control groups, disk and swap.
kubelet_configuration() {
  cat <<EOF
{"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
  "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}}, "authorization": {"mode": "AlwaysAllow"},
  "containerRuntimeEndpoint": "unix://$cluster/containerd.sock", "cgroupDriver": "cgroupfs", "cgroupRoot": "/$control_group",
  "failCgroupV1": false, "failSwapOn": false, "enforceNodeAllocatable": ["none"], "imageGCHighThresholdPercent": 100,
  "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
  "podLogsDir": "$cluster/logs", "volumePluginDir": "$cluster/plugins", "resolvConf": "",
  "clusterDomain": "cluster.local", "clusterDNS": ["$node_address"]}
EOF
}

proxy_configuration() {
  cat <<EOF
{"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
  "clientConnection": {"kubeconfig": "$cluster/proxy.kubeconfig"}, "clusterCIDR": "10.244.0.0/16", "hostnameOverride": "node",
  "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}}
EOF
}
