package ingest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// Wherever a secret stands, it is in no chunk, heading or title; what stands beside it is.
func TestSecretsAreLeftOut(t *testing.T) {
	const s = "S3cr3tValueOfALength"
	pem := func(kind, between string) string {
		return "-----BEGIN " + kind + "-----" + between + s + s + between + "-----END " + kind + "-----"
	}
	for _, c := range []struct{ name, path, content string }{
		{"Secret in YAML", "a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: stays}\nstringData:\n  a: " + s + "\n"},
		{"Secret in JSON", "a.json", `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"stays"},"data":{"a":"` + s + `"}}`},
		{"Secret in JSON in lines", "a.json", "{\n\t\"kind\": \"Secret\",\n\t\"data\": {\n\t\t\"a\": \"" + s + "\"\n\t},\n\t\"type\": \"stays\"\n}\n"},
		{"kind with escapes", "a.json", `{"\u006bind":"Secre\u0074","type":"stays","data":{"a":"` + s + `"}}`},
		{"kind behind the data", "a.yaml", "data:\n  a: " + s + "\nkind: Secret\ntype: stays\n"},
		{"kind in quotes", "a.yaml", "'kind': \"Secret\"\ntype: stays\ndata: {a: " + s + "}\n"},
		{"kind with a tag and an anchor", "a.yaml", "kind: !!str &k Secret\ntype: stays\ndata:\n  a: &v !!str " + s + "\n  b: *v\n"},
		{"kind twice", "a.yaml", "kind: Secret\nkind: ConfigMap\ntype: stays\ndata:\n  a: " + s + "\n"},
		{"value in lines", "a.yaml", "kind: Secret\ndata:\n  a: |\n    x\n\n    " + s + "\n  b: >-\n    y\n    " + s + "\ntype: stays\n"},
		{"plain value over lines", "a.yaml", "kind: Secret\ndata:\n  a: x\n    y " + s + "\n  b: \"x\n    " + s + "\"\ntype: stays\n"},
		{"comment within a value's lines", "a.yaml", "kind: Secret\ndata:\n  a: # " + "c\n    " + s + "\ntype: stays\n"},
		{"Secret behind a break that is none", "a.yaml", "# one\u2028# two\nkind: Secret\ndata:\n  a: " + s + "\nmetadata:\n  name: stays\n"},
		{"Secret behind breaks that are none", "a.yaml", "# stays\u2028#\u2029#\u0085\nkind: Secret\ntype: stays\nstringData:\n  a: \"x\u2028\"\n  b: " + s + "\n  c: >-\n    y\n    " + s + "\n  d: {e: [\u0085z, " + s + "]}\n"},
		{"Secret in a List", "a.yaml", "kind: List\nitems:\n- kind: Secret\n  type: stays\n  data:\n    a: " + s + "\n"},
		{"Secret in a SecretList", "a.yaml", "kind: List\nitems: [{kind: Secret, type: stays, data: {a: " + s + "}}]\n"},
		{"Secret as a template", "templates/a.yaml", "{{ if .x }}\nkind: Secret\ntype: stays\ndata:\n  a: " + s + "\n  {{ .b }}: " + s + "\n{{ end }}\n"},
		{"Secret in a ConfigMap", "a.yaml", "kind: ConfigMap\ndata:\n  stays: |\n    kind: Secret\n    stringData:\n      a: " + s + "\n"},
		{"Secret in Markdown", "a.md", "It stays:\n\n```yaml\nkind: Secret\ndata:\n  a: " + s + "\n```\n"},
		{"Secret in a quote", "a.md", "> stays\n>\n> ```yaml\n> kind: Secret\n> data:\n>   a: " + s + "\n> ```\n"},
		{"Secret in HTML", "a.html", "<p>stays</p><pre>kind: Secret\ndata:\n  a: " + s + "\n</pre>"},
		{"Secret in a script", "a.sh", "echo stays\nkubectl apply -f - <<EOF\nkind: Secret\nstringData:\n  a: " + s + "\nEOF\n"},
		{"last applied", "a.yaml", "kind: Pod\nmetadata:\n  name: stays\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: >\n      {\"data\":{\"a\":\"" + s + "\"}}\n"},
		{"last applied in Markdown", "a.md", "stays\n\n```\n  kubectl.kubernetes.io/last-applied-configuration: |\n    " + s + "\n```\n"},
		{"SealedSecret", "a.yaml", "kind: SealedSecret\nmetadata: {name: stays}\nspec:\n  encryptedData:\n    a: " + s + "\n"},
		{"SOPS", "a.yaml", "stays: x\na: ENC[AES256_GCM,data:" + s + ",iv:x,tag:y,type:str]\nsops:\n  mac: " + s + "\n  age: [{enc: " + s + "}]\n"},
		{"SOPS in a file of settings", "a.ini", "[stays]\na = ENC[AES256_GCM,data:" + s + ",iv:x]\n"},
		{"environment of a container", "a.yaml", "kind: Pod\nspec:\n  containers:\n  - name: stays\n    env:\n    - {name: DB_PASSWORD, value: " + s + "}\n    - value: " + s + "\n      name: API_TOKEN\n"},
		{"environment in a list", "compose.yaml", "services:\n  stays:\n    environment:\n      - DB_PASSWORD=" + s + "\n    command: [run, --api-token=" + s + "]\n"},
		{"login of Docker", "config.json", `{"auths":{"stays":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("u:"+s)) + `"}}}`},
		{"dockerconfigjson", "a.yaml", "kind: Other\nmetadata: {name: stays}\nfields:\n  .dockerconfigjson: " + s + "\n"},
		{"kubeconfig", "config.yaml", "users:\n- name: stays\n  user:\n    client-key-data: " + s + "\n    token: " + s + "\n"},
		{"generator of secrets", "kustomization.yaml", "secretGenerator:\n- name: stays\n  literals: [\"a=" + s + "\"]\n"},
		{"values of a chart", "values.yaml", "stays:\n  one: 1\n  two: 2\n  adminPassword: \"" + s + "\"\n  clientSecret: '" + s + "'\n"},
		{"values in a text", "a.yaml", "kind: Application\nspec:\n  values: |\n    stays: 1\n    password: " + s + "\n"},
		{"Terraform", "a.tf", "resource \"a\" \"stays\" {\n  password = \"" + s + "\"\n}\n"},
		{"variables of Terraform", "a.tfvars", "stays = 1\ndb_password = \"" + s + "\"\n"},
		{"private key", "a.md", "stays\n\n" + pem("RSA PRIVATE KEY", "\n") + "\n\nstays\n"},
		{"private key in quotes", "a.py", "stays = 1\nk = '''" + pem("PRIVATE KEY", "\n") + "'''\n"},
		{"private key in one line", "a.json", `{"stays":1,"k":"` + pem("EC PRIVATE KEY", `\n`) + `"}`},
		{"private key without end", "a.txt", "stays\n-----BEGIN OPENSSH PRIVATE KEY-----\n" + s + s + "\n" + s + s + "\nProse stays.\n"},
		{"private key of OpenPGP", "a.txt", "stays\n" + pem("PGP PRIVATE KEY BLOCK", "\n") + "\n"},
		{"private key in HTML", "a.html", "<p>stays</p><pre>" + pem("PRIVATE KEY", "\n") + "</pre>"},
		{"private key that is longer than a chunk", "a.txt", "stays\n-----BEGIN PRIVATE KEY-----\n" + strings.Repeat(s+s+s+"\n", 100) + "-----END PRIVATE KEY-----\n"},
		{"password in a URL", "a.md", "stays: postgres://user:" + s + "@db/x\n"},
		{"header", "a.md", "stays: `Authorization: Bearer " + s + "`\n"},
		{"token of GitHub", "a.md", "stays: gh" + "p_" + s + s + "\n"},
		{"token in a heading", "a.md", "# stays gh" + "p_" + s + s + "\n\nText.\n"},
		{"token in a title", "a.html", "<title>gh" + "p_" + s + s + "</title>stays"},
		{"key of age", "a.txt", "stays AGE-SECRET-KEY-1" + strings.ToUpper(s+s+s) + "\n"},
		{"API with a password in a URL", "a.yaml", "openapi: '3'\ninfo: {title: stays}\nservers: [{url: \"https://u:" + s + "@x\"}]\npaths: {}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Read(t.Context(), c.path, []byte(c.content), Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := shown(d)
			if lower := strings.ToLower(got); strings.Contains(lower, strings.ToLower(s)) || strings.Contains(got, base64.StdEncoding.EncodeToString([]byte("u:" + s))[4:]) {
				t.Errorf("the secret is in\n%s", got)
			}
			if !strings.Contains(got, "stays") {
				t.Errorf("too much is left out:\n%s", got)
			}
		})
	}
}

// What only looks like a credential stays.
func TestReferencesStay(t *testing.T) {
	for path, content := range map[string]string{
		"a.yaml": "secretName: stays\ntokenPath: stays\npassword: ${DB_PASSWORD}\nexistingSecret: stays\npasswordPolicy: stays\nvalueFrom: {secretKeyRef: {name: stays, key: stays}}\ndata:\n- secretKey: POSTGRES_PASSWORD\n",
		"a.tf":   "resource \"a\" \"b\" {\n  password = var.db_password\n  token = data.vault.token\n  key = \"stays\"\n}\n",
		"a.md":   "The password stays in the vault; see https://example.com:8443/@stays and -----BEGIN CERTIFICATE-----.\n",
	} {
		d, err := Read(t.Context(), path, []byte(content), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(d); strings.Contains(got, leftOut) {
			t.Errorf("%s: too much is left out:\n%s", path, got)
		}
	}
}

// However YAML and JSON are written, no value of a Secret comes through.
func TestNoValueOfASecretComesThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := map[string]string{}
		n := rapid.IntRange(1, 5).Draw(t, "values")
		for i := range n {
			before := rapid.SampledFrom([]string{"", "\n", "- ", "# ", "a: ", "'", `"`, "{", "|", "x\n\n", "&a ", "*a", "---\n", "é ", "}"}).Draw(t, "before")
			after := rapid.SampledFrom([]string{"", "\n", ": b", " # c", "'", `"`, "}", "\n---\n", ",", "\n  x", "\n\n\n"}).Draw(t, "after")
			data[rapid.SampledFrom([]string{"a", "b.yaml", "C_D", "e f", "é", "1", "kind", "data", "'"}).Draw(t, "key")+fmt.Sprint(i)] = before + fmt.Sprintf("Value%dOfSecret", i) + after
		}
		secret := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "x"}, rapid.SampledFrom([]string{"data", "stringData"}).Draw(t, "field"): data}
		document := any(secret)
		if rapid.Bool().Draw(t, "in a list") {
			document = map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{secret, secret}}
		}
		var content []byte
		var err error
		path := "a.yaml"
		switch rapid.SampledFrom([]string{"yaml", "flow", "json", "indented json"}).Draw(t, "form") {
		case "yaml":
			content, err = yaml.Marshal(document)
		case "flow":
			var node yaml.Node
			if err = node.Encode(document); err == nil {
				node.Style = yaml.FlowStyle
				content, err = yaml.Marshal(&node)
			}
		case "json":
			path = "a.json"
			content, err = json.Marshal(document)
		default:
			path = "a.json"
			content, err = json.MarshalIndent(document, "", "\t")
		}
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "in another document too") && path == "a.yaml" {
			content = append(append(content, "\n---\n"...), content...)
		}
		d, err := Read(t.Context(), path, content, Options{Size: 100})
		if err != nil {
			t.Fatalf("%v in\n%s", err, content)
		}
		if got := shown(d); strings.Contains(got, "OfSecret") {
			t.Fatalf("of\n%s\nthere is\n%s", content, got)
		}
	})
}
