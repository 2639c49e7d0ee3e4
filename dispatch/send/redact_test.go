package send

import "testing"

func TestRedactURL_ShowsWhereAndNotTheSecret(t *testing.T) {
	for text, want := range map[string]string{
		"https://hooks.slack.com/services/T0/B0/xyz":                           "https://hooks.slack.com/services/…/…/…",
		"https://hooks.slack-gov.com/services/T0/B0/xyz":                       "https://hooks.slack-gov.com/services/…/…/…",
		"https://discord.com/api/webhooks/1/tok":                               "https://discord.com/api/webhooks/…/…",
		"https://canary.discord.com/api/v10/webhooks/1/tok?wait=true":          "https://canary.discord.com/api/v10/…/…/…?…",
		"https://acme.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d":    "https://acme.webhook.office.com/…/…/…/…/…",
		"https://prod-1.logic.azure.com:443/workflows/abc/invoke?sig=secret":   "https://prod-1.logic.azure.com:443/…/…/…?…",
		"https://api.telegram.org/bot123:tok/sendMessage":                      "https://api.telegram.org/…/…",
		"https://tg.example.org/bot123456789:AAEhBP0av28_x/sendMessage":        "https://tg.example.org/…/…",
		"http://ha.local:8123/api/webhook/my_hook":                             "http://ha.local:8123/api/webhook/…",
		"https://hooks.zapier.com/hooks/catch/12/abc/":                         "https://hooks.zapier.com/hooks/catch/…/…/",
		"https://maker.ifttt.com/trigger/ai/with/key/k":                        "https://maker.ifttt.com/trigger/ai/with/…/…",
		"https://user:pass@example.org/a":                                      "https://example.org/a",
		"https://example.org/a?token=x#y":                                      "https://example.org/a?…",
		"https://example.org/hooks/intellidocs":                                "https://example.org/hooks/intellidocs",
		"https://n8n.example.org/webhook/0d2f1c9e-8a44-4d0e-9a10-0c5be0a4a111": "https://n8n.example.org/webhook/…",
		"https://example.org/aVeryLongMixedToken/x":                            "https://example.org/…/x",
		"https://example.org/%61%62c%0d%0aX":                                   "https://example.org/…",
		"https://[::1]:8443/x":                                                 "https://[::1]:8443/x",
		"/login?next=%2F":                                                      "/login?…",
		"http://example.org/%zz":                                               "[a URL that cannot be read]",
		"":                                                                     "",
	} {
		if got := RedactURL(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
