#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the completion for bash, made of what `gatherfs help` tells: completion.sh PROGRAM >gatherfs
#
# A verb's line of usage says what stands behind it, the rows of its help which options it takes. In an option's value, capitals
# (FILE, DIR) stand for paths and lower case (ms|hf) for itself.
set -eu
program=$1
verbs=$("$program" help | awk '/^  [a-z]/ { printf "%s%s", sep, $1; sep = " " }')

options_of() # VERB: "name" and "name=VALUE", in the order of the help
{
	"$program" help "$1" | awk '
	/^Options, as/ { rows = 1 }
	rows && /^  [a-z_]+(=[^ ]+)?( |$)/ {
		printf "%s%s", sep, $1
		sep = " "
	}'
}

cat <<'EOF'
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# bash completion for gatherfs, made from its help.

EOF
printf "_gatherfs_verbs='%s'\n\n" "$verbs"
cat <<'EOF'
# Sets synopsis and options of a verb.
_gatherfs_about()
{
	synopsis='' options=''
	case $1 in
EOF
for verb in $verbs; do
	synopsis=$("$program" help "$verb" | sed -n "1s/^usage: gatherfs $verb *//p")
	printf "\t%s)\n\t\tsynopsis='%s'\n\t\toptions='%s'\n\t\t;;\n" "$verb" "$synopsis" "$(options_of "$verb")"
done
printf '\tesac\n}\n'
cat <<'EOF'

# Words that begin as $2 does, each behind $1, into COMPREPLY.
_gatherfs_words()
{
	local word
	for word in $3; do
		[[ $word == "$2"* ]] && COMPREPLY+=("$1$word")
	done
	return 0
}

# Paths likewise, to which readline adds / and quotes; with $3 = -d folders only. Commas in a list of options (`$4` is not empty) need a backslash.
_gatherfs_paths()
{
	local path typed=${2//\\/}
	[[ ${typed:0:2} == \~/ ]] && typed=$HOME${typed:1}
	while IFS= read -r path; do
		[[ -n $4 ]] && path=${path//,/\\,}
		COMPREPLY+=("$1$path")
	done < <(compgen "$3" -- "$typed")
	compopt -o filenames 2>/dev/null
	return 0
}

# The value $3 of the option called $2.
_gatherfs_value()
{
	local option kinds
	for option in $options; do
		[[ $option == "$2="* ]] || continue
		kinds=${option#*=}
		case "|$kinds|" in
		*'|FILE|'* | *'|STRATEGY|'*) _gatherfs_paths "$1" "$3" -f "$4" ;;
		*'|DIR|'*) _gatherfs_paths "$1" "$3" -d "$4" ;;
		esac
		while [[ -n $kinds ]]; do
			[[ ${kinds%%|*} == [a-z]* ]] && _gatherfs_words "$1" "$3" "${kinds%%|*}"
			[[ $kinds == *'|'* ]] || break
			kinds=${kinds#*|}
		done
	done
}

# The last item of what stands behind -o; $1 is what else is in the word before it.
_gatherfs_list()
{
	local item=$2 before=$1 head='' option
	while [[ $item =~ ^(([^,\\]|\\.)*,) ]]; do
		head+=${BASH_REMATCH[1]}
		item=${item#"${BASH_REMATCH[1]}"}
	done
	if [[ $item == *=* ]]; then
		_gatherfs_value "$before$head${item%%=*}=" "${item%%=*}" "${item#*=}" escape
	else
		for option in $options; do
			[[ $option == *=* ]] && option=${option%%=*}=
			_gatherfs_words "$before$head" "$item" "$option"
		done
	fi
	compopt -o nospace 2>/dev/null
	return 0
}

_gatherfs_dashes()
{
	local name word
	case $1 in
	--*=*)
		name=${1%%=*}
		name=${name#--}
		_gatherfs_value "--$name=" "${name//-/_}" "${1#*=}" ''
		;;
	-o*) _gatherfs_list -o "${1#-o}" ;;
	*)
		for word in $synopsis; do
			word=${word//[\[\]]/}
			[[ $word == -* && $word != -o ]] && _gatherfs_words '' "$1" "$word"
		done
		for word in $options; do
			name=${word%%=*}
			_gatherfs_words '' "$1" "--${name//_/-}"
		done
		[[ -n $options ]] && _gatherfs_words '' "$1" -o
		;;
	esac
	return 0
}

# What is no option: as the synopsis calls it.
_gatherfs_argument()
{
	case $synopsis in
	*VERB*) _gatherfs_words '' "$1" "$_gatherfs_verbs" ;;
	*SOURCE* | *DIR* | *FILE*) _gatherfs_paths '' "$1" -f '' ;;
	*MOUNTPOINT*)
		local point
		while IFS= read -r point; do
			printf -v point %b "$point"
			[[ $point == "$1"* ]] && COMPREPLY+=("$point")
		done < <(awk '$3 == "fuse.gatherfs" { gsub(/\\/, "\\0", $2); print $2 }' /proc/mounts)
		compopt -o filenames 2>/dev/null
		;;
	esac
	return 0
}

_gatherfs()
{
	local synopsis options words=() word name cur prev i joined=''
	# bash has split the words at = and :, put them together again
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((${#words[@]})) && { [[ -n $joined ]] || [[ $word == [=:]* ]]; }; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
		joined=''
		[[ $word == *[=:] ]] && joined=yes
	done
	cur=${words[-1]} prev=''
	((${#words[@]} > 1)) && prev=${words[-2]}
	COMPREPLY=()
	if ((${#words[@]} == 1)); then
		_gatherfs_words '' "$cur" "$_gatherfs_verbs --help --version"
		return
	fi
	_gatherfs_about "${words[0]}"
	name=${prev#--} name=${name//-/_}
	if [[ $prev == -o ]]; then
		_gatherfs_list '' "$cur"
	elif [[ $prev == --* && " $options" == *" $name="* ]]; then
		_gatherfs_value '' "$name" "$cur" ''
	elif [[ $cur == -* ]]; then
		_gatherfs_dashes "$cur"
	else
		_gatherfs_argument "$cur"
	fi
	# of a word that bash has split, it replaces the last part only
	word=${COMP_WORDS[COMP_CWORD]}
	[[ $word == [=:] ]] && word=
	i=$((${#cur} - ${#word}))
	for name in "${!COMPREPLY[@]}"; do
		COMPREPLY[name]=${COMPREPLY[name]:i}
	done
}

complete -F _gatherfs gatherfs
EOF
