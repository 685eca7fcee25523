// Package nvme reads what an NVMe disk says of itself and encodes the admin commands
// that make it erase itself: Format NVM and Sanitize of the NVM Express Base
// Specification 2.0, sent by the ioctl NVME_IOCTL_ADMIN_CMD (linux uapi nvme_ioctl.h).
package nvme
