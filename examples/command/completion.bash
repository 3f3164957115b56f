# Completion for sysadm-iocage(8) in bash. The command itself knows what a word may become.
# SPDX-License-Identifier: BSD-2-Clause

_sysadm_iocage() {
    local line=${COMP_LINE:0:COMP_POINT} current prefix='' mark
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[${#words[@]} - 1]}
    local IFS=$'\n'
    COMPREPLY=($("$1" --complete "${words[@]:1}" 2>/dev/null | cut -f 1))
    # bash replaces only what is behind the last of its marks.
    for mark in = :; do
        if [[ $COMP_WORDBREAKS == *"$mark"* && $current == *"$mark"* && ${current%"$mark"*} == "$prefix"* ]]; then
            prefix=${current%"$mark"*}$mark
        fi
    done
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    # A value, or the rest of a name, follows.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=.] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _sysadm_iocage sysadm-iocage
