package ipxe

import "strconv"

// ask is the address that tells the appliance who the machine is. nic is an interface's name in iPXE.
//
// platform and version are more than Sidero's scripts send: an iPXE before 1.21 under UEFI cannot start today's kernels,
// and iPXE's own commands can compare texts only for being equal.
func ask(nic string) string {
	return "${appliance}/ipxe?uuid=${uuid}&mac=${" + nic + "/mac:hexhyp}" +
		"&domain=${domain:uristring}&hostname=${hostname:uristring}&serial=${serial:uristring}" +
		"&arch=${buildarch}&platform=${platform}&version=${version:uristring}"
}

// rounds is how often the boot script goes through all interfaces before the machine restarts, as in Sidero's.
const rounds = 11

// bootBody follows Sidero's script. Round 0 uses what is configured already, the others configure. The differences:
//   - What the firmware or iPXE has configured already is used first, without a new DHCP: netX, through which the script
//     came, then what UEFI handed over (seen with 1.21.1 and autoexec.ipxe: net0 has its address, and netX is not there
//     yet). That saves a healthy machine 3 s, and on a machine with several interfaces the agent then uses the one that
//     the firmware chose.
//   - No prompt delays a healthy machine: iPXE's own banner has offered Ctrl-B already. It is offered in the pause
//     between rounds.
//   - In the first round an interface without link costs 5 s. Later rounds leave the wait to dhcp, whose 15 s outlast a
//     switch port that is slow to forward (spanning tree, LACP); it also serves an iPXE that has no iflinkwait.
func bootBody() string {
	return `set round:int32 0
echo
echo Sidero appliance at ${appliance}: asking what to boot
isset ${netX/ip} || goto interfaces
chain --replace ` + ask("netX") + ` ||
:interfaces
set nic:int32 0
:interface
isset ${net${nic}/mac} || goto pause
iseq ${round} 0 && isset ${net${nic}/ip} && goto open ||
iseq ${round} 0 && goto next ||
:open
echo
echo Trying net${nic} (${net${nic}/mac})
ifclose ||
ifopen net${nic} || goto next
iflinkwait --timeout 5000 net${nic} || goto nolink
iseq ${round} 0 && goto ask ||
:configure
dhcp net${nic} || goto next
:ask
route ||
chain --replace ` + ask("net${nic}") + ` ||
:next
inc nic
goto interface
:nolink
iseq ${round} 0 && goto next ||
iseq ${round} 1 && goto next || goto configure
:pause
iseq ${round} 0 && goto again ||
echo
iseq ${nic} 0 && echo This iPXE finds no network interface: try another boot file (snp.efi, ipxe.efi) ||
iseq ${nic} 0 || echo Nothing to boot from ${appliance} through any of ${nic} network interfaces, see above (round ${round} of ` + strconv.Itoa(rounds) + `)
ifstat ||
iseq ${round} ` + strconv.Itoa(rounds) + ` && goto giveup ||
prompt --key 0x02 --timeout 2000 Press Ctrl-B for the iPXE command line... && shell ||
:again
inc round
goto interfaces
:giveup
echo
echo What to check: does "curl ${appliance}/boot.ipxe" work on another machine?
echo Is the cable in, is the switch port in the right VLAN, did DHCP give an address that reaches the appliance?
` + restart
}

// restart ends a script that has nothing left to try.
const restart = `echo Restarting in 5 seconds
sleep 5
reboot
`

// kernelFailed counts failures in a setting, which outlives the scripts: after as many as the boot script has rounds the
// machine restarts, in case its firmware is in the way.
func kernelFailed() string {
	return `:failed
echo
echo The files could not be loaded or started: see the error above, and the log of the appliance at ${appliance}.
imgfree ||
inc failures
iseq ${failures} ` + strconv.Itoa(rounds) + ` && goto giveup ||
goto again
:giveup
` + restart
}

// again starts over after a pause. What the machine boots may have changed by then.
func again(seconds int) string {
	return ":again\n" +
		"prompt --key 0x02 --timeout " + strconv.Itoa(seconds*1000) +
		" Trying again in " + strconv.Itoa(seconds) + " s, press Ctrl-B for the iPXE command line... && shell ||\n" +
		"chain --replace ${appliance}/boot.ipxe ||\n" + restart
}
