# Reads and changes a JSON object of a file: a jail's config.json, defaults.json. What to do is in the
# environment, where no awk changes a backslash:
#
#     DO=get KEY=k                the value of k, a text without its quotes; exit code 1 if there is none
#     DO=shell KEY=p_             every value as an assignment for sh: p_boot='1'
#     DO=set KEY=k VALUE=json     the whole object with that value, as iocage writes it
#     DO=replace KEY=a VALUE=b    the whole object with b for a in every text
#     DO=quote VALUE=text         the text as JSON; reads no file
#
# Exit code 2: it is not JSON.

# Takes a string off `rest`, quotes and all.
function string(    whole) {
	whole = "\""
	rest = substr(rest, 2)
	while (match(rest, /["\\]/)) {
		if (substr(rest, RSTART, 1) == "\"") {
			whole = whole substr(rest, 1, RSTART)
			rest = substr(rest, RSTART + 1)
			return whole
		}
		whole = whole substr(rest, 1, RSTART + 1)
		rest = substr(rest, RSTART + 2)
	}
	bad = 1
	return ""
}

function token(    taken) {
	sub(/^[ \t\r\n]+/, "", rest)
	if (substr(rest, 1, 1) == "\"")
		return string()
	if (!match(rest, /^(-?[0-9][-+.0-9eE]*|true|false|null|[][{},:])/)) {
		bad = 1
		return ""
	}
	taken = substr(rest, 1, RLENGTH)
	rest = substr(rest, RLENGTH + 1)
	return taken
}

# Takes a value off `rest`. What is in an array or an object is not looked at.
function value(    whole, piece, depth) {
	do {
		piece = token()
		if (piece == "[" || piece == "{")
			depth++
		else if (piece == "]" || piece == "}")
			depth--
		whole = whole piece
	} while (depth > 0 && !bad)
	return whole
}

function object(    key, end) {
	if (token() != "{")
		bad = 1
	key = token()
	while (!bad && key != "}") {
		if (substr(key, 1, 1) != "\"" || token() != ":")
			bad = 1
		values[plain(key)] = value()
		end = token()
		if (end == "}")
			break
		if (end != ",")
			bad = 1
		key = token()
		if (key == "}")
			bad = 1
	}
	if (rest ~ /[^ \t\r\n]/)
		bad = 1
}

function hexadecimal(digits,    i, number) {
	for (i = 1; i <= length(digits); i++)
		number = number * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
	return number
}

# A character by its number: of bytes, or of characters where this awk counts those.
function character(code) {
	if (code < 128 || length("é") == 1)
		return sprintf("%c", code)
	if (code < 2048)
		return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
	if (code < 65536)
		return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
	return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64, \
	    128 + int(code / 64) % 64, 128 + code % 64)
}

# What a value says: a text is meant, anything else stands for itself.
function plain(json,    text, letter, code, low) {
	if (substr(json, 1, 1) != "\"")
		return json
	json = substr(json, 2, length(json) - 2)
	while (match(json, /\\/)) {
		text = text substr(json, 1, RSTART - 1)
		letter = substr(json, RSTART + 1, 1)
		json = substr(json, RSTART + 2)
		if (letter == "u") {
			code = hexadecimal(substr(json, 1, 4))
			json = substr(json, 5)
			if (code >= 55296 && code < 56320 && substr(json, 1, 2) == "\\u") {
				low = hexadecimal(substr(json, 3, 4))
				code = 65536 + (code - 55296) * 1024 + low - 56320
				json = substr(json, 7)
			}
			text = text character(code)
		} else if (index("bfnrt", letter))
			text = text substr("\b\f\n\r\t", index("bfnrt", letter), 1)
		else
			text = text letter
	}
	return text json
}

function quote(text,    json, i, letter, code) {
	for (i = 1; i <= length(text); i++) {
		letter = substr(text, i, 1)
		if (letter == "\"" || letter == "\\")
			letter = "\\" letter
		else if (letter in control)
			letter = control[letter]
		json = json letter
	}
	return "\"" json "\""
}

# As Python's json.dump(sort_keys=True, indent=4).
function write(    key, keys, count, i) {
	for (key in values) {
		for (i = count++; i > 0 && keys[i] > key ""; i--)
			keys[i + 1] = keys[i]
		keys[i + 1] = key
	}
	printf "{"
	for (i = 1; i <= count; i++)
		printf "%s\n    %s: %s", (i > 1 ? "," : ""), quote(keys[i]), values[keys[i]]
	printf "%s}", count ? "\n" : ""
}

function shell(    key, text, assigned) {
	for (key in values) {
		if (key !~ /^[a-zA-Z0-9_]+$/)
			continue
		text = plain(values[key])
		assigned = ""
		while (match(text, /'/)) {
			assigned = assigned substr(text, 1, RSTART - 1) "'\\''"
			text = substr(text, RSTART + 1)
		}
		print ENVIRON["KEY"] key "='" assigned text "'"
	}
}

function replace(    key, text, replaced, at, from) {
	from = ENVIRON["KEY"]
	for (key in values) {
		if (substr(values[key], 1, 1) != "\"")
			continue
		text = plain(values[key])
		replaced = ""
		while (at = index(text, from)) {
			replaced = replaced substr(text, 1, at - 1) ENVIRON["VALUE"]
			text = substr(text, at + length(from))
		}
		values[key] = quote(replaced text)
	}
}

BEGIN {
	for (code = 1; code < 32; code++)
		control[sprintf("%c", code)] = sprintf("\\u%04x", code)
	control["\b"] = "\\b"
	control["\f"] = "\\f"
	control["\n"] = "\\n"
	control["\r"] = "\\r"
	control["\t"] = "\\t"
	if (ENVIRON["DO"] == "quote") {
		printf "%s", quote(ENVIRON["VALUE"])
		exit
	}
}

{ rest = rest $0 "\n" }

END {
	if (ENVIRON["DO"] == "quote")
		exit
	object()
	if (bad)
		exit 2
	if (ENVIRON["DO"] == "get") {
		if (!(ENVIRON["KEY"] in values))
			exit 1
		printf "%s\n", plain(values[ENVIRON["KEY"]])
	} else if (ENVIRON["DO"] == "shell")
		shell()
	else {
		if (ENVIRON["DO"] == "set")
			values[ENVIRON["KEY"]] = ENVIRON["VALUE"]
		else
			replace()
		write()
	}
}
