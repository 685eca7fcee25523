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

// Inspector opens disks for reading and tells what it finds. A disk can hang for as long as
// it likes in the kernel, where nothing ends the question: such a disk is asked again only
// when it has answered the one before.
type Inspector struct {
	ask func(Disk) Disk

	mu sync.Mutex
	// asked has a channel for each question that a disk has not answered yet, which closes
	// when it does.
	asked map[identity]chan struct{}
}

// identity is what tells disks apart, also one from the next in the same bay.
type identity struct{ path, number, serial, wwid string }

// NewInspector makes one that has asked nothing yet.
func NewInspector() *Inspector {
	return &Inspector{ask: inspect, asked: map[identity]chan struct{}{}}
}

// Inspect opens each disk for reading and adds what it finds. A disk that cannot be read,
// or does not answer before ctx ends, says so in Unreadable.
func (i *Inspector) Inspect(ctx context.Context, disks []Disk) []Disk {
	inspected := make([]Disk, len(disks))
	var all sync.WaitGroup
	for n, disk := range disks {
		all.Go(func() {
			answer := i.question(ctx, disk)
			select {
			case inspected[n] = <-answer:
			case <-ctx.Done():
				disk.Unreadable = "the disk does not answer"
				inspected[n] = disk
			}
		})
	}
	all.Wait()
	return inspected
}

// question asks a disk when it has answered the question before. If that takes until ctx
// ends, there is no answer.
func (i *Inspector) question(ctx context.Context, disk Disk) <-chan Disk {
	id := identity{disk.Path, disk.Number, disk.Serial, disk.WWID}
	for {
		before, answered := i.begin(id)
		if before == nil {
			answer := make(chan Disk, 1)
			go func() {
				defer answered()
				answer <- i.ask(disk)
			}()
			return answer
		}
		select {
		case <-before:
		case <-ctx.Done():
			return nil
		}
	}
}

// begin notes a question, or returns the one that the disk has not answered yet.
func (i *Inspector) begin(id identity) (before <-chan struct{}, answered func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if before, hangs := i.asked[id]; hangs {
		return before, nil
	}
	question := make(chan struct{})
	i.asked[id] = question
	return nil, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.asked, id)
		close(question)
	}
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
