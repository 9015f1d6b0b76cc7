{{/*
What a Service's values say of its kind. Argument: the values.
*/}}
{{- define "switchboard.serviceKind" -}}
type: {{ .type }}
{{- if eq .type "LoadBalancer" }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if and .externalTrafficPolicy (ne .type "ClusterIP") }}
externalTrafficPolicy: {{ .externalTrafficPolicy }}
{{- end }}
{{- with .ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- end -}}

{{/*
The one port of a Service. Arguments: name, the container port's and its own; values.
*/}}
{{- define "switchboard.servicePort" -}}
- name: {{ .name }}
  port: {{ .values.port }}
  targetPort: {{ .name }}
  {{- with .values.appProtocol }}
  appProtocol: {{ . }}
  {{- end }}
  {{- if and .values.nodePort (ne .values.type "ClusterIP") }}
  nodePort: {{ .values.nodePort }}
  {{- end }}
{{- end -}}

{{- define "switchboard.gatewaySelector" -}}
{{- include "switchboard.selectorLabels" (dict "context" . "component" "gateway") | fromJson | toYaml -}}
{{- end -}}
