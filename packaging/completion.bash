# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
# bash completion for autocork and autocorkd. Commands and options are asked of the programs themselves, so they are always theirs.

# The options in a --help text.
_autocork_options() {
	"$@" --help 2>/dev/null | grep -oE '^ +(-., )?--[a-z_][a-z0-9_-]*(=[^ ]*)?(, --[a-z_][a-z0-9_-]*)?' | grep -oE -- '--[a-z0-9_-]+'
}

# The commands in a --help text: a list below a title that starts with "Commands", or the first words of the usage lines.
_autocork_commands() {
	"$@" --help 2>/dev/null | sed -nE -e '/^Commands/,$s/^  ([a-z][a-z-]*)  .*/\1/p' \
		-e 's/^(Usage:|  or:).* \[OPTION\.\.\.\] ([a-z]+)( .*)?$/\2/p'
}

_autocork() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
	local command=("${COMP_WORDS[0]}")

	case $previous in
	--control | --cgroup | --policy-dir)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--log-level)
		mapfile -t COMPREPLY < <(compgen -W "error warning info debug" -- "$word")
		return
		;;
	esac
	# Words that are commands of the words before them; options and their arguments are passed over.
	for ((i = 1; i < COMP_CWORD; i++)); do
		if _autocork_commands "${command[@]}" | grep -qxF -- "${COMP_WORDS[i]}"; then
			command+=("${COMP_WORDS[i]}")
		fi
	done
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_autocork_options "${command[@]}")" -- "$word")
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$(_autocork_commands "${command[@]}")" -- "$word")
	if ((${#COMPREPLY[@]} == 0)); then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}

complete -F _autocork autocork autocorkd
