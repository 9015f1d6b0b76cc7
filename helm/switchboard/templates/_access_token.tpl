{{/*
The Secret that holds the access token, and the key in it.
*/}}
{{- define "switchboard.accessTokenSecret" -}}
{{- default (printf "%s-access-token" (include "switchboard.fullname" .)) .Values.accessToken.existingSecret -}}
{{- end -}}

{{- define "switchboard.accessTokenKey" -}}
{{- if .Values.accessToken.existingSecret -}}{{ .Values.accessToken.secretKey }}{{- else -}}token{{- end -}}
{{- end -}}

{{/*
The generated access token: the one that the cluster has, else a new one. The Secret and the checksum of the pod must agree on
it, so it is made once and kept in the root context, which all templates of one rendering share.
*/}}
{{- define "switchboard.generatedAccessToken" -}}
{{- if not (hasKey . "generatedAccessToken") -}}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (include "switchboard.accessTokenSecret" .) -}}
{{- $kept := dig "data" "token" "" (default dict $secret) -}}
{{- $_ := set . "generatedAccessToken" (default (randAlphaNum 48) (b64dec $kept)) -}}
{{- end -}}
{{- .generatedAccessToken -}}
{{- end -}}
