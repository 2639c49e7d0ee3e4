package format

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// openLabel is what a button or a link to IntelliDocs says.
const openLabel = "Open in IntelliDocs"

var documentID = regexp.MustCompile(`^[0-9]{1,18}$`)

// documentLink is where people find a document, "" where that is not known.
func documentLink(base, id string) string {
	if base == "" || !documentID.MatchString(id) {
		return ""
	}
	return strings.TrimSuffix(base, "/") + "/documents/" + id + "/details"
}

var ntfyTopic = regexp.MustCompile(`^[-_A-Za-z0-9]{1,64}$`)

// Address parts a webhook's URL into where requests go and whom its messages are for, in
// formats whose messages name that: ntfy's topic is the end of its URL's path, and messages
// as JSON go to the rest; Telegram's chat is its URL's chat_id. An error says what the URL
// lacks.
func Address(format, target string) (url, to string, err error) {
	switch format {
	case "ntfy":
		return ntfyAddress(target)
	case "telegram":
		return telegramAddress(target)
	}
	return target, "", nil
}

func ntfyAddress(target string) (string, string, error) {
	head, query, _ := strings.Cut(target, "?")
	i := strings.LastIndexByte(strings.TrimRight(head, "/"), '/')
	topic := strings.Trim(head[i+1:], "/")
	if i < len("https://") || !ntfyTopic.MatchString(topic) {
		return "", "", errors.New("format = \"ntfy\" needs the topic at the end of the URL, such as https://ntfy.sh/intellidocs; it has up to 64 letters, digits, '-' and '_'")
	}
	rest := head[:i+1]
	if query != "" {
		rest += "?" + query
	}
	return rest, topic, nil
}

func telegramAddress(target string) (string, string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return target, "", nil // reported as no URL
	}
	chat := u.Query().Get("chat_id")
	if chat == "" || !strings.HasSuffix(u.Path, "/sendMessage") {
		return "", "", fmt.Errorf("format = \"telegram\" needs a URL such as https://api.telegram.org/bot123456:TOKEN/sendMessage?chat_id=-1001234567890")
	}
	return target, chat, nil
}
