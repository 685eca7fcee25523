package wipe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/ata"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/nvme"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
)

const (
	// answerTime is how long a disk may take for a command that does little.
	answerTime = 30 * time.Second
	// formatTime is for NVMe formats, which have no progress to ask for; a hard disk
	// with NVMe or a drive that overwrites takes hours.
	formatTime = 12 * time.Hour
	// eraseTime is for ATA disks that give no estimate.
	eraseTime = 24 * time.Hour
	// pollTime is how often a disk is asked how far it is.
	pollTime = 2 * time.Second
)

// Erase makes the disk erase itself.
func (d blockDevice) Erase(ctx context.Context, method disk.EraseMethod, progress func(done, total uint64)) error {
	switch method {
	case disk.NVMeFormat, disk.NVMeFormatCrypto:
		return nvmeFormat(d.Fd(), method == disk.NVMeFormatCrypto)
	case disk.NVMeSanitizeBlock, disk.NVMeSanitizeCrypt:
		return nvmeSanitize(ctx, d.Fd(), method == disk.NVMeSanitizeCrypt, progress)
	case disk.ATASanitizeBlock:
		return ataSanitize(ctx, d.Fd(), ata.SanitizeBlock(), progress)
	case disk.ATASanitizeCrypto:
		return ataSanitize(ctx, d.Fd(), ata.SanitizeCrypto(), progress)
	case disk.ATASecurity, disk.ATASecurityEnh:
		return ataSecurity(d.Fd(), method == disk.ATASecurityEnh)
	default:
		return fmt.Errorf("erase by %q: %w", method, errors.ErrUnsupported)
	}
}

func nvmeFormat(fd uintptr, crypto bool) error {
	nsid, err := nvme.NSID(fd)
	if err != nil {
		return err
	}
	data, err := nvme.Do(fd, nvme.IdentifyNamespace(nsid), answerTime)
	if err != nil {
		return err
	}
	namespace, err := nvme.ParseNamespace(data)
	if err != nil {
		return err
	}
	_, err = nvme.Do(fd, nvme.Format(nsid, namespace, crypto), formatTime)
	return err
}

// shares is what the disks count progress in.
const shares = 1 << 16

func nvmeSanitize(ctx context.Context, fd uintptr, crypto bool, progress func(done, total uint64)) error {
	if _, err := nvme.Do(fd, nvme.Sanitize(crypto), answerTime); err != nil {
		return err
	}
	return poll(ctx, progress, func() (uint16, bool, error) {
		data, err := nvme.Do(fd, nvme.SanitizeLog(), answerTime)
		if err != nil {
			return 0, false, err
		}
		state, err := nvme.ParseSanitizeLog(data)
		if state.Failed {
			err = errors.New("the disk's sanitize operation failed")
		}
		return state.Done, state.Running, err
	})
}

func ataSanitize(ctx context.Context, fd uintptr, command ata.Command, progress func(done, total uint64)) error {
	if _, _, err := ata.Do(fd, command, answerTime); err != nil {
		return err
	}
	return poll(ctx, progress, func() (uint16, bool, error) {
		registers, _, err := ata.Do(fd, ata.SanitizeStatus(), answerTime)
		if err != nil {
			return 0, false, err
		}
		state := ata.ParseSanitize(registers)
		if !state.Running && !state.Succeeded {
			err = errors.New("the disk's sanitize operation failed")
		}
		return state.Done, state.Running, err
	})
}

// poll asks how far the disk is until it is done.
func poll(ctx context.Context, progress func(done, total uint64), ask func() (uint16, bool, error)) error {
	for {
		done, running, err := ask()
		if err != nil || !running {
			return err
		}
		progress(uint64(done), shares)
		if err := pause.For(ctx, pollTime); err != nil {
			return err
		}
	}
}

// ataSecurity erases by the security feature set. A disk that has a password already is
// erased with ours: a machine that lost power in the middle left it so. One with
// somebody else's refuses.
func ataSecurity(fd uintptr, enhanced bool) error {
	_, data, err := ata.Do(fd, ata.Identify(), answerTime)
	if err != nil {
		return err
	}
	id, err := ata.ParseIdentity(data)
	if err != nil {
		return err
	}
	if !id.Security || id.Frozen || (enhanced && !id.Enhanced) {
		return errors.New("the disk's security settings have changed and do not let it erase itself")
	}
	if !id.Enabled {
		if _, _, err := ata.Do(fd, ata.SetPassword(), answerTime); err != nil {
			return err
		}
	}
	_, _, err = ata.Do(fd, ata.ErasePrepare(), answerTime)
	if err == nil {
		_, _, err = ata.Do(fd, ata.EraseUnit(enhanced), eraseLimit(id, enhanced))
	}
	switch {
	case err == nil:
		return nil
	case id.Enabled:
		return fmt.Errorf("the disk has a password, and not the one that wiping sets: %w", err)
	default:
		return errors.Join(err, ataUnlock(fd))
	}
}

// ataUnlock takes our password off a disk that did not erase itself.
func ataUnlock(fd uintptr) error {
	if _, _, err := ata.Do(fd, ata.DisablePassword(), answerTime); err != nil {
		return fmt.Errorf("the disk keeps the password %q: %w", ata.Password, err)
	}
	return nil
}

// eraseLimit is twice the disk's estimate. The greatest value a disk can give means
// "longer than that".
func eraseLimit(id ata.Identity, enhanced bool) time.Duration {
	const least, longer = 10 * time.Minute, 508
	estimate := id.EraseMinutes
	if enhanced {
		estimate = id.EnhancedMinutes
	}
	if estimate == 0 || estimate >= longer {
		return max(eraseTime, 2*time.Duration(estimate)*time.Minute)
	}
	return max(least, 2*time.Duration(estimate)*time.Minute)
}
