{{/*
Where everything is in the gateway's container.
*/}}
{{- define "switchboard.dataDir" -}}/var/lib/switchboard{{- end -}}
{{- define "switchboard.configFile" -}}/etc/switchboard/switchboard.toml{{- end -}}
{{- define "switchboard.secretsDir" -}}/run/secrets/switchboard{{- end -}}
{{- define "switchboard.accessTokenFile" -}}{{ include "switchboard.secretsDir" . }}/access-token/token{{- end -}}

{{/*
The address that listeners bind, as it stands before a port.
*/}}
{{- define "switchboard.listenAddress" -}}
{{- contains ":" .Values.listenAddress | ternary (printf "[%s]" .Values.listenAddress) .Values.listenAddress -}}
{{- end -}}

{{/*
switchboard.toml: what the values say, and what the chart sets itself.
*/}}
{{- define "switchboard.config" -}}
{{- $listen := include "switchboard.listenAddress" . -}}
{{- $own := dict
  "data_dir" (include "switchboard.dataDir" .)
  "grpc" (dict "listen" (printf "%s:50051" $listen))
  "public" (dict "listen" (printf "%s:8080" $listen))
  "ops" (dict "listen" (printf "%s:9090" $listen))
  "shutdown" (dict "grace" (printf "%ds" (int .Values.shutdown.graceSeconds)))
-}}
{{- if .Values.simulator.enabled -}}
{{- $_ := set $own "telegram" (dict "api_url" (include "switchboard.simulatorUrl" .) "local_api" true) -}}
{{- end -}}
{{- $bots := dict -}}
{{- range $name, $bot := include "switchboard.bots" . | fromJson -}}
{{- $directory := printf "%s/bots/%s" (include "switchboard.secretsDir" $) $name -}}
{{- $table := deepCopy $bot.config -}}
{{- if $bot.existingSecret -}}
{{- $_ := set $table "token_file" (printf "%s/token" $directory) -}}
{{- end -}}
{{- if $bot.webhookSecret.existingSecret -}}
{{- $table = mergeOverwrite $table (dict "webhook" (dict "secret_file" (printf "%s/webhook-secret" $directory))) -}}
{{- end -}}
{{- $_ := set $bots $name $table -}}
{{- end -}}
{{- $_ := set $own "bots" $bots -}}
{{- include "switchboard.toml" (dict "table" (mergeOverwrite (deepCopy .Values.config) $own) "path" "") | trim }}
{{ end -}}

{{/*
A map as TOML. JSON's texts, numbers, switches and lists are TOML as they are; Helm's own `toToml` makes floats of whole
numbers, which keys such as `group.max_failures` do not take. Arguments: table; path, the table's name with a dot behind it.
*/}}
{{- define "switchboard.toml" -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ toRawJson $value }}
{{- end }}
{{- end }}
{{- $path := .path -}}
{{- range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{- $name := printf "%s%s" $path $key }}
{{- if include "switchboard.hasOwnKeys" $value }}

[{{ $name }}]
{{- end }}
{{- include "switchboard.toml" (dict "table" $value "path" (printf "%s." $name)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Whether a table needs its header: it has a value of its own, or nothing at all, as a bot's may. "true" or nothing.
*/}}
{{- define "switchboard.hasOwnKeys" -}}
{{- $own := not . -}}
{{- range . }}{{- if not (or (kindIs "map" .) (kindIs "invalid" .)) }}{{- $own = true -}}{{- end }}{{- end -}}
{{- if $own -}}true{{- end -}}
{{- end -}}
