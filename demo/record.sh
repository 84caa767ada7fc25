#!/usr/bin/env bash
# record.sh COMMAND… >recording.svg: runs a command of the demo, and draws what it printed, when it
# printed it, as one moving picture: all lines below one another, behind a window that follows them.
# A viewer that does not move pictures shows the first page.
set -euo pipefail

stamped() {
    local line
    while IFS= read -r line; do printf '%s\t%s\n' "${EPOCHREALTIME/,/.}" "$line"; done
}

FORCE_COLOR=1 "$@" 2>&1 | stamped | awk -F '\t' -v shown=30 -v height=17 '
    function markup(text) {
        gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text)
        gsub(/\033\[1m/, "<tspan class=\"b\">", text)
        gsub(/\033\[2m/, "<tspan class=\"d\">", text)
        gsub(/\033\[31m/, "<tspan class=\"r\">", text)
        gsub(/\033\[32m/, "<tspan class=\"g\">", text)
        gsub(/\033\[36m/, "<tspan class=\"c\">", text)
        gsub(/\033\[0m/, "</tspan>", text)
        return text
    }
    # A line is there for a tenth of a second at least before the next one follows.
    {
        wait = NR > 1 ? $1 - before : 0
        before = $1
        at[NR] = at[NR - 1] + (wait > 0.1 ? wait : 0.1)
        lines[NR] = markup(substr($0, length($1) + 2))
    }
    END {
        length_all = at[NR] + 8
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 %d\">\n", shown * height + 20
        print "<style>"
        print "text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #d0d0d0 }"
        print ".b { font-weight: bold; fill: #ffffff } .d { fill: #8a8a8a } .r { fill: #ff6b6b }"
        print ".g { fill: #6bd968 } .c { fill: #6bc7e8 }"
        printf "#lines { animation: follow %.1fs step-end infinite }\n@keyframes follow {\n", length_all
        printf "0%% { transform: translateY(%dpx) }\n", shown * height
        for (n = 1; n <= NR; n++)
            printf "%.2f%% { transform: translateY(%dpx) }\n", \
                at[n] * 100 / length_all, (shown - n) * height
        print "}"
        print "</style>"
        printf "<rect width=\"900\" height=\"%d\" rx=\"8\" fill=\"#1c1c1c\"/>\n", shown * height + 20
        printf "<svg x=\"14\" y=\"10\" width=\"880\" height=\"%d\"><g id=\"lines\" xml:space=\"preserve\">\n", shown * height
        for (n = 1; n <= NR; n++)
            printf "<text y=\"%d\">%s</text>\n", n * height - 4, lines[n]
        print "</g></svg>\n</svg>"
    }'
