package ingest

import (
	"strings"
	"testing"
)

func TestWhatIsGivenToTheNameOfACredentialIsLeftOut(t *testing.T) {
	for _, line := range []string{
		`aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYhunter2`,
		`export API_TOKEN="hunter2"`,
		`DB_PASSWORD=xhunter2`,
		`ENV DB_PASSWORD=xhunter2`,
		`password: xhunter2`,
		`- password: xhunter2`,
		"const password = \"hunter2\"",
		`	c := Config{User: "ada", Password: "hunter2", Port: 5432}`,
		`connect(user="ada", password='hunter2')`,
		`resource "db" "x" { password = "hunter2" }`,
		`  <server><password>hunter2</password></server>`,
		`conn: "Server=x;Password=xhunter2;Port=1"`,
		`url: https://x.example/?api_key=xhunter2&page=1`,
		`args: ["--password", "xhunter2"]`,
		`mainstay login --token xhunter2 --verbose`,
		`curl -u ada:hunter2 https://x.example`,
		`{"token": "hunter2"}`,
		"Set `apiKey = \"hunter2\"` and go on.",
	} {
		got := concealAssigned(line)
		if strings.Contains(got, "hunter2") || !strings.Contains(got, leftOut) {
			t.Errorf("%s\nis %s", line, got)
		}
		if again := concealAssigned(got); again != got {
			t.Errorf("%s\nis %s the second time", got, again)
		}
	}
	for _, line := range []string{
		`password: see the vault`,
		`Token: required`,
		`token := parse(input2)`,
		`token = tokens[2]`,
		`password = config.db2.password`,
		`password = var.db_password`,
		`password: ${DB_PASSWORD}`,
		`password: "{{ .Values.password }}"`,
		`run it with --token TOKEN or --password-file /run/secret1`,
		`--token=$TOKEN1`,
		`secretKey: password`,
		`type: "password"`,
		`monkey = "banana"`,
		`passwordFile: "/run/secrets/db1"`,
		`tokens per second: 12k`,
		`if password == "" { return errors.New("no password") }`,
		`A key: it opens the door2.`,
		`key: value1`,
		`kubectl get secret -n vault1`,
		`docker run -u 1000:1000 --user www-data:staff shop`,
	} {
		if got := concealAssigned(line); got != line {
			t.Errorf("%s\nis %s", line, got)
		}
	}
}
