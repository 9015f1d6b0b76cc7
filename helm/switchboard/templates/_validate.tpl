{{/*
What cannot work, said before anything is installed: what is wrong, why, and what to do. The schema refuses unknown keys and
wrong types before this; here is what it takes more than one value to see, or what deserves a reason.
*/}}
{{- define "switchboard.problems" -}}
{{- $problems := list -}}
{{- range $check := list "replicas" "names" "bots" "config" "environment" "simulator" "routes" "network" "storage" "stop" "metrics" -}}
{{- range (include (printf "switchboard.problems.%s" $check) $ | fromYamlArray) -}}
{{- $problems = append $problems . -}}
{{- end -}}
{{- end -}}
{{- range $problems }}
- {{ . }}
{{- end -}}
{{- end -}}

{{- define "switchboard.problems.replicas" -}}
{{- if ne (toString .Values.replicaCount) "1" }}
- {{ printf "replicaCount is %v, but only 1 works: a journal has one writer (P7), so a second gateway would wait for ever for the first one's volume. For more throughput give each bot a release of its own." .Values.replicaCount | toJson }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.names" -}}
{{- $name := include "switchboard.fullname" . }}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) }}
- {{ printf "The objects would be called `%s`, which is no name for a Service: it must begin with a letter and have only a-z, 0-9 and `-`. Set fullnameOverride." $name | toJson }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.bots" -}}
{{- if and .Values.bots .Values.bot.existingSecret }}
- {{ "bot.existingSecret and bots are both set. For one bot leave bots empty; for several leave bot.existingSecret empty and name all of them in bots." | toJson }}
{{- end }}
{{- $seen := dict }}
{{- $variables := dict }}
{{- range $name, $bot := include "switchboard.bots" . | fromJson }}
{{- if not (regexMatch "^[a-z0-9][a-z0-9_-]{0,62}$" $name) }}
- {{ printf "The bot's name `%s` is not one: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit." $name | toJson }}
{{- end }}
{{- $variable := include "switchboard.botVariable" $name }}
{{- with get $variables $variable }}
- {{ printf "The bots `%s` and `%s` cannot be told apart in environment variables, where `-` is `_`. Rename one." . $name | toJson }}
{{- end }}
{{- $_ := set $variables $variable $name }}
{{- if $.Values.simulator.enabled }}
{{- else if not $bot.existingSecret }}
{{- if $.Values.bots }}
- {{ printf "bots.%s.existingSecret is not set: it names the Secret that holds this bot's token." $name | toJson }}
{{- else }}
- {{ printf "bot.existingSecret is not set: it names the Secret that holds the bot's token from @BotFather. Make it with `kubectl -n %s create secret generic my-bot --from-file=%s=FILE` and set bot.existingSecret=my-bot. To try the chart without a token, set simulator.enabled=true." $.Release.Namespace $bot.secretKey | toJson }}
{{- end }}
{{- else }}
{{- $place := printf "%s/%s" $bot.existingSecret $bot.secretKey }}
{{- with get $seen $place }}
- {{ printf "The bots `%s` and `%s` have the same token: the key `%s` of the Secret `%s`. Each bot needs its own." . $name $bot.secretKey $bot.existingSecret | toJson }}
{{- end }}
{{- $_ := set $seen $place $name }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Keys that the chart sets itself, by what to do instead.
*/}}
{{- define "switchboard.ownKeys" -}}
data_dir: it is the volume of `persistence`
access_token: a secret does not belong in a ConfigMap; use accessToken.existingSecret
access_token_file: use accessToken.existingSecret
allow_unauthenticated: in a cluster everybody reaches the port; an access token is generated where none is given
grpc.listen: the port is 50051; the Service's is service.grpc.port, the address is listenAddress
public.listen: the port is 8080; the Service's is service.public.port, the address is listenAddress
ops.listen: the port is 9090; the Service's is service.ops.port, the address is listenAddress
shutdown.grace: use shutdown.graceSeconds, on which terminationGracePeriodSeconds depends
bots: use the chart's own `bots`, beside `config`
token: a secret does not belong in a ConfigMap; use bot.existingSecret
token_file: use bot.existingSecret
token_env: use bot.existingSecret
webhook.secret: a secret does not belong in a ConfigMap; use bot.webhookSecret.existingSecret
webhook.secret_file: use bot.webhookSecret.existingSecret
{{- end -}}

{{/*
Tables and keys that hold for the whole gateway.
*/}}
{{- define "switchboard.gatewayKeys" -}}
{{- list "grpc" "public" "ops" "shutdown" "tracing" "log" | toJson -}}
{{- end -}}

{{- define "switchboard.problems.config" -}}
{{- $configs := dict "config" .Values.config }}
{{- range $name, $bot := include "switchboard.bots" . | fromJson }}
{{- $_ := set $configs ($.Values.bots | empty | ternary "bot.config" (printf "bots.%s.config" $name)) $bot.config }}
{{- end }}
{{- range $where, $config := $configs }}
{{- range $key, $instead := include "switchboard.ownKeys" $ | fromYaml }}
{{- $path := splitList "." $key }}
{{- $table := $config }}
{{- if gt (len $path) 1 }}{{ $table = default dict (get $config (first $path)) }}{{ end }}
{{- if hasKey $table (last $path) }}
- {{ printf "%s.%s is set by the chart: %s." $where $key $instead | toJson }}
{{- end }}
{{- end }}
{{- if ne $where "config" }}
{{- range $table := include "switchboard.gatewayKeys" $ | fromJsonArray }}
{{- range $key, $_ := default dict (get $config $table) }}
- {{ printf "%s.%s.%s holds for the whole gateway, not for one bot: set config.%s.%s." $where $table $key $table $key | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- range $path := list (list "public" "url") (list "webhook" "url") (list "telegram" "api_url") (list "telegram" "proxy") (list "tracing" "otlp_endpoint") }}
{{- $url := get (default dict (get $config (first $path))) (last $path) }}
{{- if regexMatch "^[^/]*//[^/?#]*@" (toString $url) }}
- {{ printf "%s.%s holds a password, and configuration is readable for whoever may read ConfigMaps. Give it by extraEnv from a Secret, as the variable SWITCHBOARD_%s." $where (join "." $path) (join "_" $path | upper) | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.environment" -}}
{{- $own := list "CONFIG" "DATA_DIR" "ACCESS_TOKEN" "ACCESS_TOKEN_FILE" "ALLOW_UNAUTHENTICATED" "GRPC_LISTEN" "PUBLIC_LISTEN" "OPS_LISTEN" "SHUTDOWN_GRACE" }}
{{- range .Values.extraEnv }}
{{- if and (hasPrefix "SWITCHBOARD_" .name) (has (trimPrefix "SWITCHBOARD_" .name) $own) }}
- {{ printf "extraEnv sets %s, which the chart sets itself: Services, probes and mounts depend on it." .name | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.simulator" -}}
{{- if .Values.simulator.enabled }}
{{- if or .Values.bot.existingSecret .Values.bots }}
- {{ "simulator.enabled is set together with real bots: their tokens would go to the simulator, and their journals would fill with made-up updates. Set bot.existingSecret and bots to nothing, or turn the simulator off." | toJson }}
{{- end }}
{{- range $where, $config := dict "config" .Values.config "bot.config" .Values.bot.config }}
{{- range $key := list "api_url" "local_api" }}
{{- if hasKey (default dict $config.telegram) $key }}
- {{ printf "%s.telegram.%s is set, but with simulator.enabled the chart sets it. Leave it out." $where $key | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.routes" -}}
{{- if .Values.ingress.enabled }}
{{- if not (or .Values.ingress.host (include "switchboard.publicUrl" .)) }}
- {{ "ingress.enabled is set, but there is no host: set config.public.url=https://HOST, which Telegram is told of and the Ingress takes its host from (or ingress.host, where the two differ)." | toJson }}
{{- end }}
{{- end }}
{{- range $route := list "httpRoute" "grpcRoute" }}
{{- $values := get $.Values $route }}
{{- if and $values.enabled (not $values.parentRefs) }}
- {{ printf "%s.enabled is set without %s.parentRefs: a route hangs on a Gateway. Name it: %s.parentRefs=[{name: …, namespace: …}]." $route $route $route | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.network" -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.grpcFrom) }}
{{- $reason := "" }}
{{- if ne .Values.service.grpc.type "ClusterIP" }}
{{- $reason = printf "service.grpc.type is %s" .Values.service.grpc.type }}
{{- else if .Values.grpcRoute.enabled }}
{{- $reason = "grpcRoute.enabled is set" }}
{{- end }}
{{- with $reason }}
- {{ printf "%s, but the NetworkPolicy lets only pods of this namespace reach gRPC. Say in networkPolicy.grpcFrom who may (the Gateway's pods, or addresses), or set networkPolicy.enabled=false." . | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.storage" -}}
{{- range .Values.persistence.accessModes }}
{{- if contains "Many" . }}
- {{ printf "persistence.accessModes has %s: volumes that many nodes share are network file systems, which the journal refuses. Use ReadWriteOnce or ReadWriteOncePod." . | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.stop" -}}
{{- $least := include "switchboard.stopSeconds" . | int }}
{{- $given := include "switchboard.terminationGracePeriodSeconds" . | int }}
{{- if lt $given $least }}
- {{ printf "terminationGracePeriodSeconds is %d, but a stop may take %d s: shutdown.preStopSeconds (%d), shutdown.graceSeconds (%d) and 15 for the last commit. Leave it empty, or lower those." $given $least (int .Values.shutdown.preStopSeconds) (int .Values.shutdown.graceSeconds) | toJson }}
{{- end }}
{{- end -}}

{{- define "switchboard.problems.metrics" -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
- {{ "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both set: everything would be scraped and alerted on twice. Enable one." | toJson }}
{{- end }}
{{- with .Values.metrics.prometheusRule.disabled }}
{{- $known := list }}
{{- range ($.Files.Get "files/alerts.yaml" | fromYaml).groups }}{{ range .rules }}{{ $known = append $known .alert }}{{ end }}{{ end }}
{{- range . }}
{{- if not (has . $known) }}
- {{ printf "metrics.prometheusRule.disabled names `%s`, which is no alert of this chart. They are: %s." . (compact $known | join ", ") | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
