{{/*
How the ops listener is scraped. Argument: the values of the monitor; context.
*/}}
{{- define "switchboard.scrape" -}}
- port: ops
  path: /metrics
  interval: {{ .values.interval }}
  scrapeTimeout: {{ .values.scrapeTimeout }}
  authorization:
    type: Bearer
    credentials:
      name: {{ include "switchboard.accessTokenSecret" .context }}
      key: {{ include "switchboard.accessTokenKey" .context }}
  {{- with .values.relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
