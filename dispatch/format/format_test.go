package format

import (
	"strings"
	"testing"
)

func TestNew_RefusesWhatCannotBeWithAReason(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{Format: "xml"}, `there is no format "xml"; there are json`},
		{Spec{Format: "template", Template: " \n"}, "empty"},
		{Spec{Format: "template", Template: "x", ContentType: "nonsense; ="}, "content_type"},
		{Spec{Format: "slack", Template: "x"}, "only"},
		{Spec{Format: "json", ContentType: "text/plain"}, "only"},
	} {
		if _, err := New(c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+.80v: %v, not about %q", c.spec, err, c.want)
		}
	}
}
