// A receiver's checks in a third language, written from docs/webhooks.md and docs/proofs.md alone: webhook signatures, a whole log,
// checkpoints, inclusion, consistency, tlog-proofs, the list of keys. Cases come on stdin as JSON, answers go to stdout:
// "" for what is believed, else why not. `test_third_language.py` makes the cases.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

type testCase struct {
	Call       string
	Body       []byte
	Bodies     [][]byte
	Headers    map[string]string
	Secret     string
	PublicKey  string `json:"public_key"`
	MerchantID string `json:"merchant_id"`
	Note       string
	Later      string
	Proof      string
	Path       []string
}

type checkpoint struct {
	epoch, after, size uint64
	time               uint64
	root               []byte
}

var noteLines = regexp.MustCompile(`^(chainbell/log/(mer_[0-9a-z]{26})/([1-9][0-9]*)/(0|[1-9][0-9]*))\n([1-9][0-9]*)\n(\S+)\n$`)

func decode(prefix, text string) ([]byte, error) {
	if !strings.HasPrefix(text, prefix) {
		return nil, errors.New("prefix")
	}
	return base64.StdEncoding.Strict().DecodeString(text[len(prefix):])
}

func signedBy(header, secret, publicKey string, content []byte) bool {
	raw, _ := decode("whsec_", secret)
	key, _ := decode("whpk_", publicKey)
	for _, part := range strings.Split(header, " ") {
		version, text, _ := strings.Cut(part, ",")
		signature, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			continue
		}
		mac := hmac.New(sha256.New, raw)
		mac.Write(content)
		if version == "v1" && len(raw) >= 24 && hmac.Equal(mac.Sum(nil), signature) {
			return true
		}
		if version == "v1a" && len(key) == 32 && ed25519.Verify(key, content, signature) {
			return true
		}
	}
	return false
}

func webhook(one testCase) error {
	id, at := one.Headers["webhook-id"], one.Headers["webhook-timestamp"]
	content := append([]byte(id+"."+at+"."), one.Body...)
	if !signedBy(one.Headers["webhook-signature"], one.Secret, one.PublicKey, content) {
		return errors.New("the request is not signed")
	}
	beside := "chainbell-headers-1\n" + id + "\n" + at + "\n" + one.Headers["chainbell-prev-sequence"] + "\n" +
		one.Headers["chainbell-covers"] + "\n"
	if one.Secret != "" && !signedBy(one.Headers["chainbell-signature"], one.Secret, "", []byte(beside)) {
		return errors.New("its headers are not signed")
	}
	return nil
}

func signatures(lines, name string, kind byte, key []byte) [][]byte {
	sum := sha256.Sum256(append([]byte(name+"\n"), append([]byte{kind}, key...)...))
	var found [][]byte
	for _, line := range strings.Split(lines, "\n") {
		text, ours := strings.CutPrefix(line, "— "+name+" ")
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if ours && err == nil && len(raw) > 4 && bytes.Equal(raw[:4], sum[:4]) {
			found = append(found, raw[4:])
		}
	}
	return found
}

func read(note, merchantID, publicKey string) (*checkpoint, error) {
	text, lines, _ := strings.Cut(note, "\n\n")
	text += "\n"
	found := noteLines.FindStringSubmatch(text)
	key, err := decode("whpk_", publicKey)
	if found == nil || found[2] != merchantID || err != nil || len(key) != 32 {
		return nil, errors.New("no checkpoint of this log")
	}
	result := &checkpoint{}
	result.epoch, _ = strconv.ParseUint(found[3], 10, 53)
	result.after, _ = strconv.ParseUint(found[4], 10, 53)
	result.size, _ = strconv.ParseUint(found[5], 10, 53)
	result.root, err = base64.StdEncoding.Strict().DecodeString(found[6])
	if err != nil || len(result.root) != 32 {
		return nil, errors.New("no root")
	}
	isSigned := false
	for _, one := range signatures(lines, found[1], 1, key) {
		isSigned = isSigned || ed25519.Verify(key, []byte(text), one)
	}
	for _, one := range signatures(lines, found[1], 4, key) {
		if len(one) != 72 {
			continue
		}
		at := binary.BigEndian.Uint64(one[:8])
		if ed25519.Verify(key, []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, text)), one[8:]) && at > result.time {
			result.time = at
		}
	}
	if !isSigned || result.time == 0 {
		return nil, errors.New("the checkpoint is not signed")
	}
	return result, nil
}

func leaf(body []byte) []byte {
	inner := sha256.Sum256(body)
	sum := sha256.Sum256(append([]byte{0}, inner[:]...))
	return sum[:]
}

func node(left, right []byte) []byte {
	sum := sha256.Sum256(append(append([]byte{1}, left...), right...))
	return sum[:]
}

// RFC 9162, 2.1.1
func root(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return node(root(leaves[:k]), root(leaves[k:]))
}

// RFC 9162, 2.1.3.2
func included(body []byte, path [][]byte, merchantID string, under *checkpoint) error {
	var event struct {
		Sequence   uint64
		MerchantID string `json:"merchant_id"`
	}
	if json.Unmarshal(body, &event) != nil || event.MerchantID != merchantID {
		return errors.New("no event of this log")
	}
	if event.Sequence < 1 || event.Sequence > under.size {
		return errors.New("not under this checkpoint")
	}
	fn, sn, r := event.Sequence-1, under.size-1, leaf(body)
	for _, p := range path {
		if sn == 0 {
			return errors.New("the path is too long")
		}
		if fn&1 == 1 || fn == sn {
			r = node(p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = node(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 || !bytes.Equal(r, under.root) {
		return errors.New("the event does not stand there")
	}
	return nil
}

// RFC 9162, 2.1.4.2
func consistent(first, second *checkpoint, path [][]byte) error {
	if second.epoch > first.epoch && second.after < first.size {
		return errors.New("history was lost")
	}
	if second.epoch < first.epoch || second.size < first.size || second.time < first.time ||
		(second.epoch == first.epoch && second.after != first.after) {
		return errors.New("it is earlier")
	}
	if first.size == second.size {
		if len(path) != 0 || !bytes.Equal(first.root, second.root) {
			return errors.New("two roots of one size")
		}
		return nil
	}
	if first.size&(first.size-1) == 0 {
		path = append([][]byte{first.root}, path...)
	}
	if len(path) == 0 {
		return errors.New("the path is empty")
	}
	fn, sn := first.size-1, second.size-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	fr, sr := path[0], path[0]
	for _, c := range path[1:] {
		if sn == 0 {
			return errors.New("the path is too long")
		}
		if fn&1 == 1 || fn == sn {
			fr, sr = node(c, fr), node(c, sr)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sr = node(sr, c)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 || !bytes.Equal(fr, first.root) || !bytes.Equal(sr, second.root) {
		return errors.New("the log was rewritten")
	}
	return nil
}

func parsePath(path []string) ([][]byte, error) {
	var hashes [][]byte
	for _, one := range path {
		raw, err := hex.DecodeString(one)
		if err != nil || len(raw) != 32 || strings.ToLower(one) != one {
			return nil, errors.New("a path is hashes in hex")
		}
		hashes = append(hashes, raw)
	}
	return hashes, nil
}

func tlogProof(one testCase) error {
	head, note, _ := strings.Cut(one.Proof, "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) > 1 && strings.HasPrefix(lines[1], "extra ") {
		lines = append(lines[:1], lines[2:]...)
	}
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return errors.New("no tlog-proof")
	}
	under, err := read(note, one.MerchantID, one.PublicKey)
	if err != nil {
		return err
	}
	var path [][]byte
	for _, line := range lines[2:] {
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != 32 {
			return errors.New("no hash")
		}
		path = append(path, raw)
	}
	var event struct{ Sequence uint64 }
	if json.Unmarshal(one.Body, &event) != nil || lines[1] != fmt.Sprintf("index %d", event.Sequence-1) {
		return errors.New("a proof of another event")
	}
	return included(one.Body, path, one.MerchantID, under)
}

func wholeLog(one testCase) error {
	under, err := read(one.Note, one.MerchantID, one.PublicKey)
	if err != nil {
		return err
	}
	var leaves [][]byte
	previous := strings.Repeat("0", 64)
	for n, body := range one.Bodies {
		var event struct {
			Sequence int
			PrevHash string `json:"prev_hash"`
		}
		if json.Unmarshal(body, &event) != nil || event.Sequence != n+1 || event.PrevHash != previous {
			return errors.New("the chain is broken")
		}
		sum := sha256.Sum256(body)
		previous = hex.EncodeToString(sum[:])
		leaves = append(leaves, leaf(body))
	}
	if uint64(len(leaves)) != under.size || !bytes.Equal(root(leaves), under.root) {
		return errors.New("these are not the events that were signed")
	}
	return nil
}

func keyList(one testCase) error {
	var list struct {
		Note string
		Keys []struct {
			EndpointID string  `json:"endpoint_id"`
			PublicKey  string  `json:"public_key"`
			ValidFrom  string  `json:"valid_from"`
			ValidUntil *string `json:"valid_until"`
		}
	}
	key, err := decode("whpk_", one.PublicKey)
	if json.Unmarshal(one.Body, &list) != nil || err != nil || len(key) != 32 {
		return errors.New("no list")
	}
	text, lines, _ := strings.Cut(list.Note, "\n\n")
	text += "\n"
	name := "chainbell/keys/" + one.MerchantID
	told := strings.Split(text, "\n")
	if told[0] != name || len(told) != len(list.Keys)+3 || !strings.HasPrefix(told[1], "time ") {
		return errors.New("not what was signed")
	}
	for n, row := range list.Keys {
		until := "-"
		if row.ValidUntil != nil {
			until = *row.ValidUntil
		}
		if told[n+2] != strings.Join([]string{row.EndpointID, row.PublicKey, row.ValidFrom, until}, " ") {
			return errors.New("not what was signed")
		}
	}
	for _, signature := range signatures(lines, name, 1, key) {
		if ed25519.Verify(key, []byte(text), signature) {
			return nil
		}
	}
	return errors.New("the list is not signed")
}

func inclusion(one testCase) error {
	under, err := read(one.Note, one.MerchantID, one.PublicKey)
	if err != nil {
		return err
	}
	path, err := parsePath(one.Path)
	if err != nil {
		return err
	}
	return included(one.Body, path, one.MerchantID, under)
}

func consistency(one testCase) error {
	first, err := read(one.Note, one.MerchantID, one.PublicKey)
	if err != nil {
		return err
	}
	second, err := read(one.Later, one.MerchantID, one.PublicKey)
	if err != nil {
		return err
	}
	path, err := parsePath(one.Path)
	if err != nil {
		return err
	}
	return consistent(first, second, path)
}

func main() {
	calls := map[string]func(testCase) error{
		"webhook": webhook, "log": wholeLog, "inclusion": inclusion, "consistency": consistency,
		"tlog-proof": tlogProof, "keys": keyList,
	}
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	answers := []string{}
	for _, one := range cases {
		answer := ""
		if err := calls[one.Call](one); err != nil {
			answer = err.Error()
		}
		answers = append(answers, answer)
	}
	json.NewEncoder(os.Stdout).Encode(answers)
}
