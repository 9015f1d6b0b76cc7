{{/*
Whether a bot may come by webhook: its configuration, or the one for all, names a URL. "true" or nothing.
*/}}
{{- define "switchboard.hasWebhook" -}}
{{- $found := include "switchboard.publicUrl" . -}}
{{- $configs := list .Values.config -}}
{{- range include "switchboard.bots" . | fromJson }}{{ $configs = append $configs .config }}{{ end -}}
{{- range $configs -}}
{{- $found = coalesce (dig "webhook" "url" "" .) $found -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if regexMatch "^(SWITCHBOARD_PUBLIC_URL|SWITCHBOARD_(BOT_[A-Z0-9_]+_)?WEBHOOK_URL|TELEGRAM_WEBHOOK_URL|WEBHOOK_URL)$" .name -}}
{{- $found = .name -}}
{{- end -}}
{{- end -}}
{{- if or $found .Values.extraEnvFrom -}}true{{- end -}}
{{- end -}}

{{/*
What works, but perhaps not as it is meant: a YAML list of sentences.
*/}}
{{- define "switchboard.warnings" -}}
{{- if .Values.simulator.enabled }}
- {{ "The updates are made up by the simulator; nothing comes from Telegram." | toJson }}
{{- end }}
{{- if not .Values.persistence.enabled }}
- {{ "persistence.enabled is false: updates that Telegram believes delivered are lost with the pod." | toJson }}
{{- end }}
{{- if and (include "switchboard.hasPublicService" .) (not (include "switchboard.hasWebhook" .)) }}
- {{ "There is a way in for webhooks, but no bot has a webhook: Telegram is polled. Set config.public.url=https://HOST." | toJson }}
{{- end }}
{{- if and (include "switchboard.publicUrl" .) (not (include "switchboard.hasPublicService" .)) }}
- {{ "config.public.url is set, but nothing leads from there to the gateway. Enable ingress, httpRoute or service.public." | toJson }}
{{- end }}
{{- $egress := .Values.networkPolicy.egress }}
{{- if and .Values.networkPolicy.enabled (not $egress.extra) }}
{{- range $path := list (list "tracing" "otlp_endpoint") (list "telegram" "proxy") (list "telegram" "api_url") }}
{{- with dig (first $path) (last $path) "" $.Values.config }}
- {{ printf "config.%s is %s: the NetworkPolicy lets it pass on port %v only; other ports need networkPolicy.egress.telegramPort or .extra." (join "." $path) . $egress.telegramPort | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- if not .Values.accessToken.existingSecret }}
- {{ "The access token was generated, and an upgrade keeps it. Where Helm does not ask the cluster (helm template, Argo CD and other GitOps), each rendering makes another one: set accessToken.existingSecret there." | toJson }}
{{- end }}
{{- end -}}
