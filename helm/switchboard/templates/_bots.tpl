{{/*
The bots by name, as JSON, whichever way they were given, with every field set.
*/}}
{{- define "switchboard.bots" -}}
{{- $given := .Values.bots -}}
{{- if not $given -}}
{{- $given = dict .Values.bot.name (omit .Values.bot "name") -}}
{{- end -}}
{{- $bots := dict -}}
{{- range $name, $bot := $given -}}
{{- $webhook := default dict $bot.webhookSecret -}}
{{- $_ := set $bots $name (dict
  "existingSecret" (default "" $bot.existingSecret)
  "secretKey" (default "token" $bot.secretKey)
  "webhookSecret" (dict
    "existingSecret" (default "" $webhook.existingSecret)
    "secretKey" (default "secret" $webhook.secretKey))
  "config" (default dict $bot.config)
) -}}
{{- end -}}
{{- toJson $bots -}}
{{- end -}}

{{/*
The prefix of a bot's own environment variables, as the gateway derives it. Argument: the bot's name.
*/}}
{{- define "switchboard.botVariable" -}}
SWITCHBOARD_BOT_{{ . | replace "-" "_" | upper }}
{{- end -}}
