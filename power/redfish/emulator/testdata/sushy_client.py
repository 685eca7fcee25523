"""Drives a Redfish service with sushy: sees it off, boots it once from the network, restarts it, turns it off."""
import sys

import sushy
import urllib3

urllib3.disable_warnings()  # the certificate is the BMC's own
root = sushy.Sushy(sys.argv[1], username="admin", password="password", verify=False)
system = root.get_system("/redfish/v1/Systems/1")
print(system.power_state.value.lower())

states = [system.power_state.value.lower()]
system.set_system_boot_options(sushy.BootSource.PXE, sushy.BootSourceOverrideEnabled.ONCE, sushy.BootSourceOverrideMode.UEFI)
boot = root._conn.get("/redfish/v1/Systems/1").json()
if "@Redfish.Settings" in boot:
    boot = root._conn.get(boot["@Redfish.Settings"]["SettingsObject"]["@odata.id"]).json()
boot = boot["Boot"]

system.reset_system(sushy.ResetType.ON)
system.refresh(force=True)
states.append(system.power_state.value.lower())
system.reset_system(sushy.ResetType.FORCE_RESTART)
system.reset_system(sushy.ResetType.FORCE_OFF)
system.refresh(force=True)
states.append(system.power_state.value.lower())
print(*states)
print(boot["BootSourceOverrideTarget"].lower(), boot["BootSourceOverrideEnabled"].lower(), boot["BootSourceOverrideMode"].lower())
root._conn._auth.close()
