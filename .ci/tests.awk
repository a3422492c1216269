# Reads the events of `go test -json`. Prints a line for each package, every skip with its reason, and the output of what
# failed; writes "passed failed skipped" to the file named by the variable counts. A package that fails without a failed
# test (it does not compile, or it crashed) counts as one failure.

# field returns a string field of the event, still escaped. Quotes inside other fields are escaped, so none can look like
# the beginning of a field.
function field(name,    at, text, i, c) {
  at = index($0, "\"" name "\":\"")
  if (!at) return ""
  text = substr($0, at + length(name) + 4)
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1)
    if (c == "\\") i++
    else if (c == "\"") return substr(text, 1, i - 1)
  }
  return text
}

function plain(text) {
  gsub(/\\\\/, "\001", text)
  gsub(/\\n/, "\n", text); gsub(/\\t/, "\t", text); gsub(/\\r/, "", text); gsub(/\\"/, "\"", text)
  gsub(/\\u003c/, "<", text); gsub(/\\u003e/, ">", text); gsub(/\\u0026/, "\\&", text); gsub(/\\u001b/, "", text)
  gsub(/\001/, "\\\\", text)
  return text
}

function name() { return package " " plain(test) }

function elapsed() { return match($0, /"Elapsed":[0-9.]+/) ? substr($0, RSTART + 10, RLENGTH - 10) " s" : "" }

# Keep no more of one test's output than a person can read.
function keep(id, text) { if (length(output[id]) < 20000) output[id] = output[id] text }

{
  action = field("Action"); package = field("Package"); test = field("Test"); id = package "\002" test
}
action == "build-output" { printf "%s", plain(field("Output")) }
action == "output" { keep(id, plain(field("Output"))) }
action == "pass" && test != "" { passed++; delete output[id] }
action == "skip" && test != "" { skipped++; printf "SKIPPED: %s\n%s", name(), output[id]; delete output[id] }
action == "fail" && test != "" { failed++; failures[package]++; printf "FAILED: %s\n%s", name(), output[id]; delete output[id] }
action == "pass" && test == "" { print "ok    " package " " elapsed(); delete output[id] }
action == "fail" && test == "" {
  if (!failures[package]) { failed++; printf "%s", output[id] }
  print "FAIL  " package
}
END { print passed + 0, failed + 0, skipped + 0 > counts }
