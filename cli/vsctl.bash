# SPDX-License-Identifier: Apache-2.0
# bash completion for vsctl: commands, options, and names of the running switch.

_vsctl_commands='init show emer-reset add-br del-br list-br br-exists br-to-vlan br-to-parent br-set-external-id
  br-get-external-id list-ports list-ifaces add-port del-port port-to-br iface-to-br add-bond add-bond-iface
  del-bond-iface get-controller del-controller set-controller get-fail-mode del-fail-mode set-fail-mode get-manager
  del-manager set-manager get-reflector del-reflector set-reflector get-evpn del-evpn set-evpn get-ssl del-ssl set-ssl add-aa-mapping del-aa-mapping get-aa-mapping add-zone-tp del-zone-tp
  list-zone-tp list-dp-cap list find get set add remove clear create destroy wait-until comment fdb-show fdb-stats fdb-flush
  fdb-add fdb-del drops port-stats qos-show clients-show vtep-show version exit'

_vsctl_tables='Open_vSwitch Bridge Port Interface Mirror QoS Queue Controller Manager SSL Flow_Table NetFlow sFlow IPFIX
  Flow_Sample_Collector_Set AutoAttach Datapath CT_Zone CT_Timeout_Policy'

_vsctl_options='--rundir= --db= --timeout= --retry --no-wait --no-syslog --dry-run --oneline --format= --data=
  --no-headings --pretty --bare --max-column-width= --verbose --help --version --may-exist --if-exists --columns= --id=@
  --real --fake --with-iface --fake-iface --inactivity-probe= --bootstrap --all --private-key= --certificate= --ca-cert=
  --bootstrap-ca-cert= --peer-ca-cert='

_vsctl_ask() {
  vsctl --timeout=1 "${_vsctl_where[@]}" "$@" 2>/dev/null
}

# The names of a table's records: the first of these columns that the table has, else the UUIDs.
_vsctl_records() {
  local column
  case $1 in
    [Oo]pen* | SSL | ssl) printf '.\n' ;;
    *)
      for column in name target _uuid; do
        _vsctl_ask --no-headings --data=bare "--columns=$column" list "$1" && return
      done | grep .
      ;;
  esac
}

_vsctl_names() { _vsctl_ask --no-headings --data=bare --columns=name list "$1" | grep .; }

# The columns of a table: the heading shows them even when the table has no records.
_vsctl_columns() { _vsctl_ask --format=csv find "$1" | head -n 1 | tr , '\n'; }

# The possible words for argument number $2 (from 0) of command $1; ${args[@]} are the arguments before it.
_vsctl_argument() {
  case $1:$2 in
    del-br:0 | br-*:0 | list-ports:0 | list-ifaces:0 | add-port:0 | add-bond:0 | fdb-*:0) _vsctl_ask list-br ;;
    *-controller:0 | *-fail-mode:0 | *-aa-mapping:0 | add-br:1) _vsctl_ask list-br ;;
    set-fail-mode:1) echo standalone secure ;;
    del-port:0) _vsctl_ask list-br; _vsctl_names Port ;;
    del-port:1 | fdb-add:1) _vsctl_ask list-ports "${args[0]}" ;;
    fdb-add:4) _vsctl_ask get Interface "${args[1]}" options:remotes | tr -d '"' | tr , ' ' ;;
    add-port:1 | add-bond-iface:1) ls /sys/class/net 2>/dev/null ;;
    add-port:*) _vsctl_columns Port | sed 's/$/=/' ;;
    add-bond:1) ;;
    add-bond:*) ls /sys/class/net 2>/dev/null; _vsctl_columns Port | sed 's/$/=/' ;;
    port-to-br:0 | drops:0 | port-stats:0 | qos-show:0 | add-bond-iface:0) _vsctl_names Port ;;
    iface-to-br:0 | del-bond-iface:*) _vsctl_names Interface ;;
    list:0 | find:0 | get:0 | set:0 | add:0 | remove:0 | clear:0 | create:0 | destroy:0 | wait-until:0)
      echo "$_vsctl_tables"
      ;;
    list:* | get:1 | set:1 | add:1 | remove:1 | clear:1 | destroy:* | wait-until:1) _vsctl_records "${args[0]}" ;;
    set:* | create:* | find:* | wait-until:*) _vsctl_columns "${args[0]}" | sed 's/$/=/' ;;
    get:* | add:2 | remove:2 | clear:*) _vsctl_columns "${args[0]}" ;;
  esac
}

_vsctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} command='' i word words
  local -a args=() _vsctl_where=()
  COMPREPLY=()

  # The command at the cursor: the words after the last "--", without options. (bash splits words at "=".)
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --) command='' args=() ;;
      --db=* | --rundir=* | --private-key=* | --certificate=* | --ca-cert=*) _vsctl_where+=("$word") ;;
      --db | --rundir | --private-key | --certificate | --ca-cert)
        if [[ ${COMP_WORDS[i + 1]} == = ]]; then
          # The rest of the word, with the colons at which bash also splits.
          word+==${COMP_WORDS[i + 2]}
          ((i += 2))
          while [[ ${COMP_WORDS[i + 1]} == : ]]; do word+=:${COMP_WORDS[i + 2]}; ((i += 2)); done
        fi
        _vsctl_where+=("$word")
        ;;
      -* | =) ;;
      *)
        if [[ ${COMP_WORDS[i - 1]} == = && -z $command ]]; then
          :
        elif [[ -z $command ]]; then
          command=$word
        elif [[ ${#args[@]} -gt 0 && ($word == :* || ${COMP_WORDS[i - 1]} == *:) ]]; then
          args[-1]+=$word  # a MAC address, say: bash parts words at ":", too
        else
          args+=("$word")
        fi
        ;;
    esac
  done

  if [[ -n $command ]]; then
    words="$(_vsctl_argument "$command" "${#args[@]}") --"
  elif [[ $cur == -* ]]; then
    words=$_vsctl_options
  else
    words=$_vsctl_commands
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=@] ]]; then compopt -o nospace 2>/dev/null; fi
}

complete -F _vsctl vsctl
