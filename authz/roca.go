package authz

import "math/big"

// rocaPrimes are the primes that the vulnerable generator built its moduli
// around.
var rocaPrimes = []uint64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73,
	79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157,
	163, 167,
}

// hasROCAFingerprint reports whether an RSA modulus comes from Infineon's
// faulty generator (CVE-2017-15361): such a modulus is a power of 65537
// modulo each of the primes. A sound modulus is so by chance about once in
// 10^8 times.
func hasROCAFingerprint(n *big.Int) bool {
	rest := new(big.Int)
	for _, prime := range rocaPrimes {
		residue := rest.Mod(n, new(big.Int).SetUint64(prime)).Uint64()
		if !isPowerOf65537(residue, prime) {
			return false
		}
	}
	return true
}

func isPowerOf65537(residue, prime uint64) bool {
	power := uint64(1)
	for range prime {
		if power == residue {
			return true
		}
		power = power * 65537 % prime
	}
	return false
}
