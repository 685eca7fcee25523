package disk

import (
	"context"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/nvme"
)

// patience is how long a disk may take to answer a question about itself.
const patience = 30 * time.Second

// Inspect opens each disk for reading and adds what it finds. A disk that cannot be
// read, or does not answer before ctx ends, says so in Unreadable.
func Inspect(ctx context.Context, disks []Disk) []Disk {
	inspected := make([]Disk, len(disks))
	answers := make([]chan Disk, len(disks))
	for n, disk := range disks {
		answers[n] = make(chan Disk, 1)
		go func() { answers[n] <- inspect(disk) }()
	}
	var all sync.WaitGroup
	for n, disk := range disks {
		all.Go(func() {
			select {
			case inspected[n] = <-answers[n]:
			case <-ctx.Done():
				disk.Unreadable = "the disk does not answer"
				inspected[n] = disk
			}
		})
	}
	all.Wait()
	return inspected
}

func inspect(disk Disk) Disk {
	file, err := os.OpenFile(disk.Path, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		disk.Unreadable = err.Error()
		return disk
	}
	defer file.Close()
	contents, err := ReadContents(file, int64(disk.Size), int64(disk.LogicalBlock))
	if err != nil {
		disk.Unreadable = err.Error()
	}
	disk.Contents = contents.Found
	if disk.Transport == NVMe {
		disk.Erase, disk.NoErase = nvmeErase(file.Fd())
	} else if len(disk.Erase) == 0 && disk.NoErase == "" {
		disk.NoErase = "the disk has no command to erase itself that can be reached"
	}
	return disk
}

func nvmeErase(fd uintptr) ([]Erase, string) {
	data, err := nvme.Do(fd, nvme.IdentifyController(), patience)
	if err != nil {
		return nil, err.Error()
	}
	controller, err := nvme.ParseController(data)
	if err != nil {
		return nil, err.Error()
	}
	return eraseOf(controller)
}

// eraseOf lists how an NVMe disk can erase itself. Format comes first: it is meant for
// one namespace.
func eraseOf(controller nvme.Controller) ([]Erase, string) {
	var ways []Erase
	if controller.Format {
		ways = append(ways, Erase{Method: NVMeFormat, Wide: controller.EraseAll || controller.FormatAll})
	}
	if controller.FormatCrypto {
		ways = append(ways, Erase{Method: NVMeFormatCrypto, Wide: controller.EraseAll || controller.FormatAll})
	}
	if controller.SanitizeBlock {
		ways = append(ways, Erase{Method: NVMeSanitizeBlock, Wide: true})
	}
	if controller.SanitizeCrypto {
		ways = append(ways, Erase{Method: NVMeSanitizeCrypt, Wide: true})
	}
	if len(ways) == 0 {
		return nil, "the disk has no command to erase itself"
	}
	return ways, ""
}
