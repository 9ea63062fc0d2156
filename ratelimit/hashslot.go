package ratelimit

import "strings"

// hashSlots is the number of slots of a Redis Cluster.
const hashSlots = 16384

// hashSlot is the slot of a key: the CRC16 of its hash tag, or of all of it where
// it has none (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
func hashSlot(key string) uint16 {
	if _, rest, found := strings.Cut(key, "{"); found {
		if tag, _, found := strings.Cut(rest, "}"); found && tag != "" {
			key = tag
		}
	}
	crc := uint16(0)
	for i := range len(key) {
		crc = crc<<8 ^ crc16[byte(crc>>8)^key[i]]
	}
	return crc % hashSlots
}

// crc16 is the table of the CRC that Redis Cluster uses (XMODEM, polynomial 1021).
var crc16 = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()
