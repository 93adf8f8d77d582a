heddle_bpf_skeleton(datapath datapath/user/bpf/xdp_port.bpf.c)
