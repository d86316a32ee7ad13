# generate.awk - SQL files to C tables.
#
#   awk -v out=build/sql.gen -f sql/generate.awk sql/migrations/*.sql sql/queries/*.sql
#
# Writes out.h (enum sql_id, the two structs) and out.c (their rows). A file under migrations/ is
# taken whole, any other one is a query: one statement behind a header of comments. Every problem
# is reported with its file, and nothing is written when there is one.
#
# Plain POSIX awk: Debian's default is mawk.

function fail(file, why) {
    print file ": " why > "/dev/stderr"
    failed = 1
}

function basename(path) {
    sub(/^.*\//, "", path)
    sub(/\.sql$/, "", path)
    return path
}

# One line of text as the body of a C string literal.
function c_text(s) {
    gsub(/\\/, "&&", s)
    gsub(/"/, "\\\"", s)
    gsub(/\t/, "\\t", s)
    gsub(/\r/, "", s)
    return s
}

function c_lines(s,    n, i, line, r) {
    n = split(s, line, "\n")
    r = ""
    for (i = 1; i <= n; i++)
        if (i < n || line[i] != "")
            r = r "\n        \"" c_text(line[i]) (i < n ? "\\n" : "") "\""
    return r == "" ? " \"\"" : r
}

# Value of a "-- key: value" line, joined with the comment lines that continue it.
function header(text, key,    n, i, line, r, taking) {
    n = split(text, line, "\n")
    r = ""
    taking = 0
    for (i = 1; i <= n && line[i] ~ /^--/; i++) {
        if (line[i] ~ /^-- *[a-z][a-z-]*:( |$)/)
            taking = line[i] ~ ("^-- *" key ":")
        if (!taking)
            continue
        sub(/^-- *[a-z-]*: */, "", line[i])
        sub(/^-- */, "", line[i])
        sub(/[ \t\r]+$/, "", line[i])
        r = r (r != "" && line[i] != "" ? " " : "") line[i]
    }
    return r
}

# The statement without its comments; sets n_params. Quotes are followed across lines, so that
# dashes, semicolons and dollars inside them stay what they are.
function statement(file, text,    n, i, c, quote, r, digits, ended) {
    n = length(text)
    r = ""
    quote = ""
    n_params = 0
    ended = 0
    for (i = 1; i <= n; i++) {
        c = substr(text, i, 1)
        if (quote != "") {
            if (c == quote)
                quote = ""
        } else if (c == "-" && substr(text, i + 1, 1) == "-") {
            while (i <= n && substr(text, i, 1) != "\n")
                i++
            c = "\n"
        } else if (c == "'" || c == "\"") {
            quote = c
        } else if (c == ";") {
            ended = 1
            continue
        } else if (c == "$") {
            digits = substr(text, i + 1, 3)
            if (match(digits, /^[0-9]+/) && substr(digits, 1, RLENGTH) + 0 > n_params)
                n_params = substr(digits, 1, RLENGTH) + 0
        }
        if (ended && c !~ /[ \t\r\n]/) {
            fail(file, "more than one statement")
            return ""
        }
        r = r c
    }
    if (quote != "")
        fail(file, "a quote is not closed")
    gsub(/[ \t\r]+\n/, "\n", r)
    gsub(/\n\n+/, "\n", r)
    gsub(/^\n+|[ \t\r\n]+$/, "", r)
    if (r == "")
        fail(file, "no statement")
    return r
}

function add_query(file, text,    name, plan, sql) {
    name = header(text, "name")
    if (name != basename(file))
        fail(file, "header says \"-- name: " name "\", the file is named " basename(file))
    if (name !~ /^[a-z][a-z0-9_]*$/)
        fail(file, "a name is lower case letters, digits and underscores")
    plan = header(text, "plan")
    if (plan != "" && plan != "each time")
        fail(file, "\"-- plan: each time\" is all that can be said about a plan")
    sql = statement(file, text)
    enums = enums "    SQL_" toupper(name) ",\n"
    rows = rows "    [SQL_" toupper(name) "] = {\n        .name = \"" name "\",\n" \
        "        .params = \"" c_text(header(text, "params")) "\",\n" \
        "        .result = \"" c_text(header(text, "result")) "\",\n" \
        "        .n_params = " n_params ",\n" \
        "        .each_time = " (plan == "" ? "false" : "true") ",\n        .text =" c_lines(sql) \
        ",\n    },\n"
}

function add_migration(file, text,    name, oldest) {
    name = basename(file)
    n_migrations++
    if (name !~ /^[0-9][0-9][0-9][0-9]_[a-z0-9_]+$/)
        fail(file, "a migration is named NNNN_name.sql")
    else if (substr(name, 1, 4) + 0 != n_migrations)
        fail(file, "expected number " n_migrations " here: numbers have no gaps and no doubles")
    oldest = header(text, "oldest-program")
    if (oldest !~ /^[0-9]+$/ || oldest + 0 < 1 || oldest + 0 > n_migrations)
        fail(file, "needs \"-- oldest-program: N\", 1 to its own number")
    migrations = migrations "    {\n        .name = \"" name "\",\n" \
        "        .oldest_program = " (oldest + 0) ",\n        .text =" c_lines(text) ",\n    },\n"
}

BEGIN {
    n_migrations = 0
    if (out == "") {
        fail("generate.awk", "needs -v out=PATH")
        exit 1
    }
    for (a = 1; a < ARGC; a++) {
        file = ARGV[a]
        text = ""
        while ((got = (getline line < file)) > 0)
            text = text line "\n"
        close(file)
        if (got < 0)
            fail(file, "cannot be read")
        else if (file ~ /migrations\/[^\/]*$/)
            add_migration(file, text)
        else
            add_query(file, text)
    }
    if (failed)
        exit 1

    h = out ".h"
    print "/* Made by sql/generate.awk from sql/: do not edit. */" > h
    print "#ifndef MACP_SQL_GEN_H\n#define MACP_SQL_GEN_H\n\n#include <stdbool.h>\n" > h
    print "/* One per file of sql/queries. */" > h
    print "enum sql_id {\n" enums "    SQL__COUNT\n};\n" > h
    print "struct sql_statement {" > h
    print "    const char *name;" > h
    print "    const char *params; /* what the file's header says, \"\" when it says nothing */" > h
    print "    const char *result;" > h
    print "    const char *text; /* without comments */" > h
    print "    int n_params;     /* highest $n */" > h
    print "    bool each_time;   /* planned with its arguments, never prepared */" > h
    print "};\n" > h
    print "/* Indexed by enum sql_id; a row of NULLs at SQL__COUNT. */" > h
    print "extern const struct sql_statement sql_statements[SQL__COUNT + 1];\n" > h
    print "struct sql_migration {" > h
    print "    const char *name; /* NNNN_name */" > h
    print "    const char *text; /* the whole file */" > h
    print "    int oldest_program; /* lowest schema version whose programs run on this one */" > h
    print "};\n" > h
    print "/* In order: number n is at n - 1. Its length is the schema version of this build. */" > h
    print "extern const struct sql_migration sql_migrations[];" > h
    print "extern const int sql_migration_count;\n" > h
    print "#endif" > h

    name = out
    sub(/^.*\//, "", name)
    c = out ".c"
    print "/* Made by sql/generate.awk from sql/: do not edit. */" > c
    print "#include \"" name ".h\"\n\n#include <stddef.h>\n" > c
    print "const struct sql_statement sql_statements[SQL__COUNT + 1] = {" > c
    printf "%s", rows > c
    print "    [SQL__COUNT] = {NULL, NULL, NULL, NULL, 0},\n};\n" > c
    print "const struct sql_migration sql_migrations[] = {" > c
    printf "%s", migrations > c
    print "    {NULL, NULL, 0},\n};\n" > c
    print "const int sql_migration_count = " n_migrations ";" > c
}
