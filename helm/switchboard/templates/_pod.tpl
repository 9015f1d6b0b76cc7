{{/*
What the pods have in common: the gateway's, the simulator's and the test's. Only the gateway's has a volume of its own.
*/}}
{{- define "switchboard.podBasics" -}}
serviceAccountName: {{ include "switchboard.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
# Variables that Kubernetes would make of the Services' names begin like the gateway's own.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{/*
Fields of a pod as the values have them. Arguments: context; fields, their names.
*/}}
{{- define "switchboard.podFields" -}}
{{- $context := .context -}}
{{- $fields := dict -}}
{{- range .fields -}}
{{- $value := get $context.Values . -}}
{{- if $value -}}{{- $_ := set $fields . $value -}}{{- end -}}
{{- end -}}
{{- with $fields }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
Where the gateway runs.
*/}}
{{- define "switchboard.gatewayPlacement" -}}
{{- include "switchboard.podFields" (dict "context" . "fields" (list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" "schedulerName" "hostAliases" "dnsPolicy" "dnsConfig")) -}}
{{- end -}}

{{/*
Where the simulator and the test run: on nodes like the gateway's, but wherever there is room.
*/}}
{{- define "switchboard.companionPlacement" -}}
{{- include "switchboard.podFields" (dict "context" . "fields" (list "nodeSelector" "tolerations" "runtimeClassName" "dnsPolicy" "dnsConfig")) -}}
{{- end -}}

{{/*
The container's image and what it may do.
*/}}
{{- define "switchboard.containerBasics" -}}
image: {{ include "switchboard.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{/*
The files with the secrets, as sources of one projected volume: access-token/token, bots/NAME/token, bots/NAME/webhook-secret.
*/}}
{{- define "switchboard.secretSources" -}}
- secret:
    name: {{ include "switchboard.accessTokenSecret" . }}
    items:
      - key: {{ include "switchboard.accessTokenKey" . }}
        path: access-token/token
{{- range $name, $bot := include "switchboard.bots" . | fromJson }}
{{- if $bot.existingSecret }}
- secret:
    name: {{ $bot.existingSecret }}
    items:
      - key: {{ $bot.secretKey }}
        path: bots/{{ $name }}/token
{{- end }}
{{- with $bot.webhookSecret }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - key: {{ .secretKey }}
        path: bots/{{ $name }}/webhook-secret
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Seconds until the pod is killed: what the stop adds up to, unless the values say more.
*/}}
{{- define "switchboard.stopSeconds" -}}
{{- add .Values.shutdown.preStopSeconds .Values.shutdown.graceSeconds 15 -}}
{{- end -}}

{{- define "switchboard.terminationGracePeriodSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- include "switchboard.stopSeconds" . -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
