package snippet

// In these texts {address} and {http} stand for the appliance's address and the beginning of its URLs.

// Each client fits one dhcp-boot at most, so that their order does not matter.
const dnsmasq = `dhcp-match=set:sidero_bios,option:client-arch,0
dhcp-match=set:sidero_uefi,option:client-arch,7
dhcp-match=set:sidero_uefi,option:client-arch,9
dhcp-match=set:sidero_http,option:client-arch,16
dhcp-match=set:sidero_ipxe,175
dhcp-userclass=set:sidero_ipxe,iPXE
dhcp-boot=tag:sidero_bios,tag:!sidero_ipxe,undionly.kpxe,{address},{address}
dhcp-boot=tag:sidero_uefi,tag:!sidero_ipxe,snp.efi,{address},{address}
dhcp-boot=tag:sidero_http,tag:!sidero_ipxe,{http}/tftp/snp.efi,{address},{address}
dhcp-boot=tag:sidero_ipxe,{http}/boot.ipxe,{address},{address}
dhcp-option-force=tag:sidero_http,60,HTTPClient
`

// Option 175 is left to whoever has given it a name already, as iPXE's documentation does: every iPXE says its user class.
const dhcpd = `option sidero-arch code 93 = unsigned integer 16;
if exists user-class and option user-class = "iPXE" {
  next-server {address};
  filename "{http}/boot.ipxe";
} elsif option sidero-arch = 00:00 {
  next-server {address};
  filename "undionly.kpxe";
} elsif option sidero-arch = 00:07 or option sidero-arch = 00:09 {
  next-server {address};
  filename "snp.efi";
} elsif option sidero-arch = 00:10 {
  next-server {address};
  filename "{http}/tftp/snp.efi";
  option vendor-class-identifier "HTTPClient";
  option dhcp-parameter-request-list = concat(option dhcp-parameter-request-list, 3c);
}
`

const kea = `"client-classes": [
  {
    "name": "sidero-ipxe",
    "test": "option[175].exists or option[77].hex == 'iPXE'",
    "next-server": "{address}",
    "boot-file-name": "{http}/boot.ipxe"
  },
  {
    "name": "sidero-bios",
    "test": "not member('sidero-ipxe') and option[93].hex == 0x0000",
    "next-server": "{address}",
    "boot-file-name": "undionly.kpxe"
  },
  {
    "name": "sidero-uefi",
    "test": "not member('sidero-ipxe') and (option[93].hex == 0x0007 or option[93].hex == 0x0009)",
    "next-server": "{address}",
    "boot-file-name": "snp.efi"
  },
  {
    "name": "sidero-http",
    "test": "not member('sidero-ipxe') and option[93].hex == 0x0010",
    "next-server": "{address}",
    "boot-file-name": "{http}/tftp/snp.efi",
    "option-data": [{ "name": "vendor-class-identifier", "data": "HTTPClient", "always-send": true }]
  }
]
`

// An iPXE fits two matchers. It boots whichever RouterOS takes: given its own name again, the appliance sends the script.
const routerOS = `/ip dhcp-server option
add name=sidero-ipxe code=67 force=yes value="s'{http}/boot.ipxe'"
add name=sidero-bios code=67 force=yes value="s'undionly.kpxe'"
add name=sidero-uefi code=67 force=yes value="s'snp.efi'"
add name=sidero-http code=67 force=yes value="s'{http}/tftp/snp.efi'"
add name=sidero-http-class code=60 force=yes value="s'HTTPClient'"
/ip dhcp-server option sets
add name=sidero-ipxe options=sidero-ipxe
add name=sidero-bios options=sidero-bios
add name=sidero-uefi options=sidero-uefi
add name=sidero-http options=sidero-http,sidero-http-class
/ip dhcp-server matcher
add name=sidero-ipxe server=defconf code=77 value="iPXE" option-set=sidero-ipxe address-pool=[/ip dhcp-server get defconf address-pool]
add name=sidero-bios server=defconf code=93 value=0x0000 option-set=sidero-bios address-pool=[/ip dhcp-server get defconf address-pool]
add name=sidero-uefi server=defconf code=93 value=0x0007 option-set=sidero-uefi address-pool=[/ip dhcp-server get defconf address-pool]
add name=sidero-uefi-9 server=defconf code=93 value=0x0009 option-set=sidero-uefi address-pool=[/ip dhcp-server get defconf address-pool]
add name=sidero-http server=defconf code=93 value=0x0010 option-set=sidero-http address-pool=[/ip dhcp-server get defconf address-pool]
/ip dhcp-server network
set [find] next-server={address}
`

// It says the same as dnsmasq's. A section of the type "tag" is for the tag that it is named after; a "boot" that has no
// server's name is ignored by some releases.
const openWrt = `uci -q delete dhcp.sidero_http
uci batch <<'EOF'
set dhcp.sidero_arch_0=match
set dhcp.sidero_arch_0.networkid='sidero_bios'
set dhcp.sidero_arch_0.match='option:client-arch,0'
set dhcp.sidero_arch_7=match
set dhcp.sidero_arch_7.networkid='sidero_uefi'
set dhcp.sidero_arch_7.match='option:client-arch,7'
set dhcp.sidero_arch_9=match
set dhcp.sidero_arch_9.networkid='sidero_uefi'
set dhcp.sidero_arch_9.match='option:client-arch,9'
set dhcp.sidero_arch_16=match
set dhcp.sidero_arch_16.networkid='sidero_http'
set dhcp.sidero_arch_16.match='option:client-arch,16'
set dhcp.sidero_ipxe_175=match
set dhcp.sidero_ipxe_175.networkid='sidero_ipxe'
set dhcp.sidero_ipxe_175.match='175'
set dhcp.sidero_ipxe_77=userclass
set dhcp.sidero_ipxe_77.networkid='sidero_ipxe'
set dhcp.sidero_ipxe_77.userclass='iPXE'
set dhcp.sidero_boot_bios=boot
set dhcp.sidero_boot_bios.filename='tag:sidero_bios,tag:!sidero_ipxe,undionly.kpxe'
set dhcp.sidero_boot_bios.servername='{address}'
set dhcp.sidero_boot_bios.serveraddress='{address}'
set dhcp.sidero_boot_uefi=boot
set dhcp.sidero_boot_uefi.filename='tag:sidero_uefi,tag:!sidero_ipxe,snp.efi'
set dhcp.sidero_boot_uefi.servername='{address}'
set dhcp.sidero_boot_uefi.serveraddress='{address}'
set dhcp.sidero_boot_http=boot
set dhcp.sidero_boot_http.filename='tag:sidero_http,tag:!sidero_ipxe,{http}/tftp/snp.efi'
set dhcp.sidero_boot_http.servername='{address}'
set dhcp.sidero_boot_http.serveraddress='{address}'
set dhcp.sidero_boot_ipxe=boot
set dhcp.sidero_boot_ipxe.filename='tag:sidero_ipxe,{http}/boot.ipxe'
set dhcp.sidero_boot_ipxe.servername='{address}'
set dhcp.sidero_boot_ipxe.serveraddress='{address}'
set dhcp.sidero_http=tag
set dhcp.sidero_http.force='1'
add_list dhcp.sidero_http.dhcp_option='60,HTTPClient'
commit dhcp
EOF
/etc/init.d/dnsmasq restart
`

// One name is for one kind of machine. iPXE, once loaded, is given the script by the appliance.
const other = `server (next server, TFTP server, option 66):
  {address}
file name (boot file, option 67), the one that your machines need:
  undionly.kpxe
    for legacy BIOS
  snp.efi
    for UEFI on x86-64
  {http}/tftp/snp.efi
    for UEFI HTTP boot on x86-64, if the router can send HTTPClient in option 60
  {http}/boot.ipxe
    for network cards that hold iPXE
`
