# bash completion for vsctl: commands, options, and the names that the running switch has.

_vsctl_ask() {
  vsctl --timeout=1 "${_vsctl_where[@]}" "$@" 2>/dev/null
}

_vsctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} command='' i word
  local -a args=() _vsctl_where=()
  COMPREPLY=()

  # The command that the cursor is in: what follows the last "--", without options.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --) command='' args=() ;;
      --db | --rundir) _vsctl_where+=("$word=${COMP_WORDS[i + 2]}") ;;
      -* | =) ;;
      *)
        if [[ ${COMP_WORDS[i - 1]} == = && -z $command ]]; then
          :
        elif [[ -z $command ]]; then
          command=$word
        else
          args+=("$word")
        fi
        ;;
    esac
  done

  local words=''
  if [[ -z $command ]]; then
    if [[ $cur == -* ]]; then
      words='--rundir= --db= --timeout= --no-wait --dry-run --oneline --format= --data= --no-headings --verbose --help
        --version --may-exist --if-exists --columns= --id=@'
    else
      words='init show add-br del-br list-br br-exists br-to-vlan br-to-parent br-set-external-id br-get-external-id
        list-ports list-ifaces add-port del-port port-to-br iface-to-br list find get set add remove clear create
        destroy wait-until comment fdb-show fdb-stats fdb-flush fdb-add fdb-del drops port-stats version exit'
    fi
  else
    case $command:${#args[@]} in
      del-br:0 | br-*:0 | list-ports:0 | list-ifaces:0 | add-port:0 | fdb-*:0) words=$(_vsctl_ask list-br) ;;
      del-port:0) words=$(_vsctl_ask list-br; _vsctl_ask --no-headings --data=bare --columns=name find Port) ;;
      del-port:1 | fdb-add:1) words=$(_vsctl_ask list-ports "${args[0]}") ;;
      add-port:1) words=$(ls /sys/class/net 2>/dev/null) ;;
      add-port:*) words='tag= trunks= vlan_mode=' ;;
      port-to-br:0 | drops:0 | port-stats:0)
        words=$(_vsctl_ask --no-headings --data=bare --columns=name find Port) ;;
      iface-to-br:0) words=$(_vsctl_ask --no-headings --data=bare --columns=name find Interface) ;;
      list:0 | find:0 | get:0 | set:0 | add:0 | remove:0 | clear:0 | create:0 | destroy:0 | wait-until:0)
        words='Open_vSwitch Bridge Port Interface' ;;
      list:* | get:1 | set:1 | add:1 | remove:1 | clear:1 | destroy:* | wait-until:1)
        case ${args[0]} in
          Open_vSwitch) words=. ;;
          *) words=$(_vsctl_ask --no-headings --data=bare --columns=name find "${args[0]}") ;;
        esac
        ;;
      get:* | set:* | add:2 | remove:2 | clear:* | find:* | create:* | wait-until:*)
        words=$(_vsctl_ask list "${args[0]}" | sed -n 's/^\([a-z_0-9]*\) *: .*/\1/p' | sort -u) ;;
    esac
    words+=' --'
  fi

  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=@] ]]; then compopt -o nospace; fi
}

complete -F _vsctl vsctl
