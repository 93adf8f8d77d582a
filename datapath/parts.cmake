# SPDX-License-Identifier: Apache-2.0
heddle_bpf_skeleton(datapath datapath/user/bpf/xdp_port.bpf.c)
heddle_bpf_skeleton(datapath datapath/kernel/bpf/tc_switch.bpf.c)
