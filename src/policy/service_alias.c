/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/policy.h"

/* Other names of the catalogue's services: of programs, of protocols, IANA's. Sorted. */
static const struct {
        const char *alias, *name;
} aliases[] = {
        {"avahi", "mdns"},
        {"bind", "dns"},
        {"bonjour", "mdns"},
        {"bootps", "dhcp"},
        {"chrony", "ntp"},
        {"cifs", "smb"},
        {"cups", "ipp"},
        {"dhcpd", "dhcp"},
        {"docker", "docker-api"},
        {"domain", "dns"},
        {"elastic", "elasticsearch"},
        {"hass", "home-assistant"},
        {"http-alt", "8080/tcp"},
        {"https-alt", "8443/tcp"},
        {"ike", "ipsec"},
        {"isakmp", "ipsec"},
        {"k8s", "kubernetes-api"},
        {"kubernetes", "kubernetes-api"},
        {"mail", "smtp"},
        {"mariadb", "mysql"},
        {"microsoft-ds", "smb"},
        {"mongo", "mongodb"},
        {"mongod", "mongodb"},
        {"ms-sql-s", "mssql"},
        {"ms-wbt-server", "rdp"},
        {"named", "dns"},
        {"openssh", "ssh"},
        {"pgsql", "postgresql"},
        {"portmapper", "rpcbind"},
        {"postgres", "postgresql"},
        {"psql", "postgresql"},
        {"quic", "http3"},
        {"remote-desktop", "rdp"},
        {"samba", "smb"},
        {"scp", "ssh"},
        {"sftp", "ssh"},
        {"smtps", "submissions"},
        {"sqlserver", "mssql"},
        {"sshd", "ssh"},
        {"sunrpc", "rpcbind"},
        {"tls", "https"},
        {"turn", "stun"},
        {"upnp", "ssdp"},
        {"valkey", "redis"},
        {"web", "https"},
        {"wg", "wireguard"},
        {"www", "http"},
        {"zeroconf", "mdns"},
};

const char *service_alias(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
                if (strcasecmp(aliases[i].alias, name) == 0)
                        return aliases[i].name;
        return NULL;
}
