module sysadm/iocage

go 1.19
