package configuration

import "testing"

func TestSource(t *testing.T) {
	values := map[string]string{"uuid": "a-b", "serial": "S 1", "mac": "02:00:00:00:00:01", "hostname": "h"}
	for raw, want := range map[string]string{
		"http://192.0.2.1:8081/configdata?uuid=":                                           "http://192.0.2.1:8081/configdata?uuid=a-b",
		"http://192.0.2.1:8081/configdata?uuid=&token=t":                                   "http://192.0.2.1:8081/configdata?token=t&uuid=a-b",
		"http://192.0.2.1:8081/configdata?uuid=other":                                      "http://192.0.2.1:8081/configdata?uuid=other",
		"http://192.0.2.1/c?uuid=${uuid}&mac=${mac}&serial=${serial}&h=${hostname}&x=${x}": "http://192.0.2.1/c?uuid=a-b&mac=02%3A00%3A00%3A00%3A00%3A01&serial=S+1&h=h&x=${x}",
		"http://192.0.2.1/${uuid}.yaml":                                                    "http://192.0.2.1/a-b.yaml",
	} {
		at, err := Source{URL: raw, Values: values}.address()
		if err != nil || at.String() != want {
			t.Errorf("%s: %s, %v, instead of %s", raw, at, err, want)
		}
	}
	for _, raw := range []string{"none", "/a", "http://%"} {
		if at, err := (Source{URL: raw, Values: values}).address(); err == nil {
			t.Errorf("%s: %s", raw, at)
		}
	}
}
