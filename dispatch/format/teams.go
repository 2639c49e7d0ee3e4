package format

import "github.com/dawnsystem/intellidocs-agent/dispatch/format/plain"

// teamsMessage is how much Teams takes of a message: "28 KB"
// (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
// and …/microsoftteams/limits-specifications-teams). It counts UTF-16 where the sender
// names no charset, so a message keeps to it in both.
const teamsMessage = 28 << 10

type teamsEnvelope struct {
	Type        string            `json:"type"`
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string    `json:"contentType"`
	ContentURL  *string   `json:"contentUrl"`
	Content     teamsCard `json:"content"`
}

type teamsCard struct {
	Schema   string       `json:"$schema"`
	Type     string       `json:"type"`
	Version  string       `json:"version"`
	Fallback string       `json:"fallbackText"`
	Body     []teamsBlock `json:"body"`
	Actions  []teamsOpen  `json:"actions,omitempty"`
	MSTeams  struct {
		Width string `json:"width"`
	} `json:"msteams"`
}

// teamsBlock is a RichTextBlock or a Container of them.
type teamsBlock struct {
	Type      string       `json:"type"`
	Style     string       `json:"style,omitempty"`
	Bleed     bool         `json:"bleed,omitempty"`
	Spacing   string       `json:"spacing,omitempty"`
	Separator bool         `json:"separator,omitempty"`
	Inlines   []teamsRun   `json:"inlines,omitempty"`
	Items     []teamsBlock `json:"items,omitempty"`
}

type teamsOpen struct {
	Type  string `json:"type"`
	Title string `json:"title,omitempty"`
	URL   string `json:"url"`
}

type teamsRun struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Size   string `json:"size,omitempty"`
	Weight string `json:"weight,omitempty"`
	Subtle bool   `json:"isSubtle,omitempty"`
	// Select is what a click on it does.
	Select *teamsOpen `json:"selectAction,omitempty"`
}

// teams is an Adaptive Card in the envelope that a Teams workflow ("When a Teams webhook
// request is received") takes. All its text is TextRuns, which know no Markdown, unlike
// TextBlocks and FactSets (https://adaptivecards.io/explorer/TextRun.html), so that
// nothing in it needs an escape.
func teams(s *summary) ([]byte, error) {
	for share := 1; ; share *= 2 {
		out, err := plain.JSON(teamsOf(s, share))
		if err != nil || max(len(out), 2*plain.Len(string(out))) <= teamsMessage || share == 16 {
			return out, err
		}
	}
}

// teamsOf returns each text's bound divided by share.
func teamsOf(s *summary, share int) teamsEnvelope {
	style := map[tone]string{attention: "warning", good: "good", neutral: "accent"}[s.tone]
	body := []teamsBlock{{Type: "Container", Style: style, Bleed: true, Items: []teamsBlock{
		teamsLine("", teamsRun{Text: plain.Clip(s.title, maxTitle/share), Size: "Large", Weight: "Bolder"}),
	}}}
	if s.text != "" {
		body = append(body, teamsLine("", teamsRun{Text: plain.Clip(s.text, maxText/share)}))
	}
	if len(s.reason) > 0 {
		var why []teamsBlock
		for _, line := range s.reason {
			why = append(why, teamsLine("Small", teamsRun{Text: plain.Clip(line, maxReason/share)}))
		}
		body = append(body, teamsBlock{Type: "Container", Style: "emphasis", Items: why})
	}
	for _, d := range s.list {
		line := teamsLine("Small", teamsRun{Text: "• " + plain.Clip(d.title, maxDocument/share), Weight: "Bolder"})
		if d.link != "" {
			line.Inlines[0].Select = &teamsOpen{Type: "Action.OpenUrl", URL: d.link}
		}
		if d.details != "" {
			line.Inlines = append(line.Inlines, teamsRun{Type: "TextRun", Text: " " + plain.Clip(d.details, 4*maxName/share)})
		}
		body = append(body, line)
	}
	if r := s.remainder(len(s.list)); r != "" {
		body = append(body, teamsLine("Small", teamsRun{Text: r, Subtle: true}))
	}
	for i, f := range s.facts {
		line := teamsLine("Small", teamsRun{Text: plain.Clip(f.name, maxName/share) + ": ", Weight: "Bolder"}, teamsRun{Text: plain.Clip(f.value, maxValue/share)})
		line.Separator = i == 0
		body = append(body, line)
	}
	if s.todo != "" {
		body = append(body, teamsLine("Medium", teamsRun{Text: s.todo, Weight: "Bolder"}))
	}
	footer := s.footer()
	if !s.when.IsZero() {
		footer += " · " + s.when.Format("2006-01-02 15:04 UTC")
	}
	body = append(body, teamsLine("Medium", teamsRun{Text: footer, Size: "Small", Subtle: true}))
	card := teamsCard{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
		Fallback: plain.Clip(s.fallback(), maxText/share), Body: body,
	}
	card.MSTeams.Width = "Full"
	if s.link != "" {
		card.Actions = []teamsOpen{{Type: "Action.OpenUrl", Title: openLabel, URL: s.link}}
	}
	return teamsEnvelope{Type: "message", Attachments: []teamsAttachment{
		{ContentType: "application/vnd.microsoft.card.adaptive", Content: card},
	}}
}

func teamsLine(spacing string, runs ...teamsRun) teamsBlock {
	for i := range runs {
		runs[i].Type = "TextRun"
	}
	return teamsBlock{Type: "RichTextBlock", Spacing: spacing, Inlines: runs}
}
