/**
 * Examples for the help of every command. Lines that begin with `#` say what the next line is for.
 *
 * @module
 */

import type { Command } from "commander";

/** Adds to the help of every command its examples, and to that of a group those of what is in it. */
export function addExamples(root: Command): void {
  const visit = (command: Command, path: readonly string[]) => {
    const lines = EXAMPLES[path.join(" ")];
    if (lines !== undefined) command.addHelpText("after", `\nExamples:\n${lines.map(indented).join("")}`);
    for (const child of command.commands) visit(child, [...path, child.name()]);
  };
  visit(root, []);
}

function indented(line: string): string {
  return line.split("\n").map((part) => `  ${part}\n`).join("");
}

const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  "": [
    "# three parties on this machine, and a key that two of them sign with",
    "quorate init alice bob carol --dir demo",
    "# at alice, bob and carol, at about the same time",
    "quorate key generate --config demo/quorate.toml --party alice \\\n" +
    '  --key treasury --policy "2 of (alice, bob, carol)"',
    "# what each command needs",
    "quorate key sign --help",
  ],
  "init": [
    "# all parties on this machine, ports from 9101",
    "quorate init alice bob carol --dir demo --base-port 9101",
    "# each on a host of its own",
    "quorate init alice bob carol \\\n" +
    "  --hosts alice=10.0.0.5:9000,bob=10.0.0.6:9000,carol=10.0.0.7:9000",
    "# keys that name no policy need two signers",
    "quorate init alice bob carol --dir demo --threshold 2",
  ],
  "agree-random": [
    "# at every party",
    "quorate agree-random --party alice --bits 256",
  ],
  "key": [
    "quorate key list --party alice",
    "quorate key sign --party alice --key treasury --message-file m.txt --out m.sig",
  ],
  "key generate": [
    "# at all parties of the policy; again, to complete one that was interrupted",
    'quorate key generate --party alice --key treasury \\\n  --policy "2 of (alice, bob, carol)"',
    'quorate key generate --party alice --key seal --curve ed25519 \\\n  --policy "2 of (alice, bob, carol)"',
    "quorate key generate --party alice --key coins --curve secp256k1 \\\n" +
    '  --scheme bip340 --policy "2 of (alice, bob, carol)"',
  ],
  "key list": ["quorate key list --party alice", "quorate key list --party alice --json"],
  "key show": ["quorate key show --party alice --key treasury"],
  "key sign": [
    "# at alice and bob",
    "quorate key sign --party alice --key treasury --signers alice,bob \\\n" +
    "  --message-file m.txt --out m.sig",
    "# a child of the key, as 64 bytes",
    "quorate key sign --party alice --key treasury --signers alice,bob \\\n" +
    '  --path m/0/5 --message "pay 5 to dave" --format compact --out m.sig',
  ],
  "key verify": [
    "quorate key verify --party alice --key treasury --message-file m.txt \\\n  --signature m.sig",
    "# by anybody, with the public key alone",
    "quorate key verify --public treasury.pem --message-file m.txt \\\n  --signature m.sig",
  ],
  "key import": [
    "# at the party that has the key",
    'quorate key import --party alice --key old --policy "2 of (bob, carol)" \\\n  --private-key old.pem',
    "# at the others",
    'quorate key import --party bob --key old --policy "2 of (bob, carol)" \\\n  --from alice',
  ],
  "key export-private": [
    "# on one machine without a network, with copies of the data directories",
    "quorate key export-private --key treasury --parties alice,bob \\\n" +
    "  --data alice=usb/alice --data bob=usb/bob \\\n  --out treasury-private.pem --understand",
  ],
  "key refresh": [
    "# at all members",
    "quorate key refresh --party alice --key treasury",
    "# faster; a pair that is banned stays so",
    "quorate key refresh --party alice --key treasury --pairs rerandomize",
  ],
  "key reshare": [
    "# at old signers and new members",
    'quorate key reshare --party alice --key treasury \\\n  --policy "2 of (alice, bob, dave)"',
    "# an old member deals although it leaves",
    'quorate key reshare --party alice --key treasury \\\n  --policy "2 of (alice, bob)" --dealers carol',
  ],
  "key repair": [
    "# at the party that lost its share, and at those who help",
    "quorate key repair --party carol --key treasury --lost carol \\\n  --helpers alice,bob",
  ],
  "key sync": [
    "# at each of them; one has the certificate of the newest epoch",
    "quorate key sync --party alice --key treasury --with bob,carol",
  ],
  "key unban": ["quorate key unban --party alice --key treasury --signer carol"],
  "key discard": ["quorate key discard --party alice --key-id b454ff72 --epoch 1"],
  "key derive": [
    "quorate key derive --party alice --key treasury --path m/0/5",
    "# by anybody who has the public record",
    "quorate key derive --record treasury.json --path m/0/5 --format xpub",
  ],
  "key export-public": [
    "quorate key export-public --party alice --key treasury --format pem",
    "quorate key export-public --party alice --key treasury --format record \\\n  --out treasury.json",
  ],
  "backup": [
    "quorate backup create --party alice --key treasury --custodian custodian.pub \\\n  --out alice.pve",
    "quorate backup verify --backup alice.pve --custodian custodian.pub \\\n  --record treasury.json",
  ],
  "backup custodian": [
    "# custodian.key for the custodian alone, custodian.pub for the parties",
    "quorate backup custodian --out custodian",
    "quorate backup custodian --out custodian --suite p256",
  ],
  "backup create": [
    "quorate backup create --party alice --key treasury --custodian custodian.pub \\\n  --out alice.pve",
    "# all keys, for two of three custodians",
    'quorate backup create --party alice --all --custodians "2 of (c1, c2, c3)" \\\n' +
    "  --custodian c1=c1.pub --custodian c2=c2.pub --custodian c3=c3.pub \\\n  --out alice.pve",
  ],
  "backup verify": [
    "# by anybody: three public files, no network",
    "quorate backup verify --backup alice.pve --custodian custodian.pub \\\n  --record treasury.json",
  ],
  "backup open": [
    "# at the custodian c1, for a backup that two of three open",
    "quorate backup open --backup alice.pve --custodian-key c1.key --out c1.part",
  ],
  "backup recover": [
    "quorate backup recover --party alice --backup alice.pve \\\n" +
    "  --custodian-key custodian.key --record treasury.json",
    "# with what two of three custodians gave",
    "quorate backup recover --party alice --backup alice.pve \\\n  --part c1.part --part c3.part",
  ],
  "backup drill": [
    "# where both files are at hand",
    "quorate backup drill --custodian custodian.pub --custodian-key custodian.key",
    "# in three steps: at a party, at the custodian, at the party",
    "quorate backup drill --custodian custodian.pub --out drill.pve",
    "quorate backup drill --drill drill.pve --custodian-key custodian.key",
    "quorate backup drill --drill drill.pve --custodian custodian.pub \\\n  --answer 5e0f...",
  ],
  "audit": ["quorate audit verify --party alice", "quorate audit head --party alice"],
  "audit verify": [
    "quorate audit verify --party alice",
    "# with what witnesses keep of it",
    "quorate audit verify --party alice --checkpoint bob/alice.checkpoint",
    "quorate audit verify --proof 17.tlog-proof",
  ],
  "audit head": ["quorate audit head --party alice --cosigned"],
  "audit prove": ["quorate audit prove --party alice --index 17 --out 17.tlog-proof"],
  "cert": ["quorate cert list", "quorate cert needs-renewal --days 30"],
  "cert create-ca": ["quorate cert create-ca --cluster demo --out certs"],
  "cert issue": [
    "# for a request that alice made with cert csr",
    "quorate cert issue --party alice --csr request.pem --out alice",
    "# for an operator, who asks nodes",
    "quorate cert issue --operator olga --out certs/olga",
    "quorate cert issue --cluster demo --party dave --host 10.0.0.8 \\\n" +
    "  --ca certs/ca.pem --out certs/dave",
  ],
  "cert csr": ["quorate cert csr --party alice --out certs/alice/next"],
  "cert renew": [
    "# where the key of the authority is; then the new pin goes into quorate.toml",
    "quorate cert renew --party alice",
    "# at alice, when every host has the pin",
    "quorate cert renew --party alice --activate",
  ],
  "cert revoke": [
    "quorate cert revoke --party carol",
    "# before the lists end",
    "quorate cert revoke --refresh",
  ],
  "cert list": ["quorate cert list", "quorate cert list --json"],
  "cert inspect": ["quorate cert inspect certs/alice/cert.pem"],
  "cert needs-renewal": [
    "# for a timer: exit code 1 where one is due",
    "quorate cert needs-renewal --days 30",
  ],
  "cert rotate-ca": [
    "quorate cert rotate-ca",
    "# when every party has a certificate of the new authority",
    "quorate cert rotate-ca --finish",
  ],
  "doctor": [
    "# at all parties at about the same time, or where nodes run, at any of them",
    "quorate doctor --party alice",
  ],
  "node": ["quorate node run --party alice"],
  "node run": [
    "quorate node run --party alice",
    "quorate node run --party alice --log-format plain --log-level debug",
  ],
  "status": [
    "quorate status --party alice --json",
    "quorate status --party alice --tx-id tx_001 --wait 30",
  ],
  "info": ["quorate info --party alice"],
  "peers": ["quorate peers --party alice"],
  "sessions": ["quorate sessions --party alice --recent"],
  "monitor": [
    "quorate monitor --party alice --interval 10",
    "quorate monitor --party alice --count 1 --json",
  ],
  "vote": [
    "# at as many members as the quorum needs",
    "quorate vote --party alice --tx-id tx_001 --value 42",
    "quorate vote --party alice --tx-id tx_001 --value 42 --wait 30",
    "# for what was proposed; status shows the ballot",
    "quorate vote --party alice --tx-id pay_7 --approve 5e0f21aac94b7d03",
  ],
  "members": ["quorate members show --party n1"],
  "members show": ["quorate members show --party n1"],
  "members change": [
    "# at as many members as the quorum needs, alike",
    "quorate members change --party n1 --members n1,n2,n3,n4,n6 \\\n" +
    "  --quorum 4 --wait 60",
  ],
  "propose": [
    "quorate propose --party alice --key payments --tx-id pay_7 \\\n" +
    '  --message "pay 5 to dave" --context amount=5 --context to=dave',
  ],
  "test-byzantine": [
    "quorate test-byzantine --test-type double-vote",
    "quorate test-byzantine --test-type silent --json",
  ],
  "signature": ["quorate signature show --party alice --tx-id pay-17 --wait 30"],
  "signature show": [
    "quorate signature show --party alice --tx-id pay-17 --wait 30 \\\n" +
    "  --format der --out payment.sig",
  ],
  "signature adopt": ["quorate signature adopt --party alice --tx-id pay-17 --in payment.compact"],
  "pause": ['quorate pause --party alice --reason "incident 12"', "quorate pause --party alice --voting"],
  "resume": ['quorate resume --party alice --reason "incident 12 is over"'],
  "decision": ["quorate decision show tx_001 --party alice"],
  "decision show": ["quorate decision show tx_001 --party alice --out tx_001.certificate"],
  "decision compact": [
    "quorate decision compact tx_001 --party alice --key notary \\\n" +
    "  --out tx_001.sig --statement tx_001.statement",
  ],
  "decision verify": ["quorate decision verify tx_001.certificate"],
  "evidence": ["quorate evidence list --party alice"],
  "evidence list": ["quorate evidence list --party alice"],
  "evidence show": ["quorate evidence show 5e0f --party alice --out offence.proof"],
  "evidence verify": ["quorate evidence verify offence.proof"],
  "reputation": ["quorate reputation --party alice"],
  "demo": [
    "quorate demo",
    "quorate demo --parties 3 --json",
    "quorate demo ecdsa-backup",
  ],
  "demo agree-random": ["quorate demo agree-random --parties 5"],
  "demo ecdsa-2pc": ['quorate demo ecdsa-2pc --message "two words"'],
  "demo voting": ["quorate demo voting"],
  "demo ecdsa-backup": [
    'quorate demo ecdsa-backup --policy "2 of (alice, bob, carol)" \\\n  --save-backup kept',
  ],
  "completion": [
    "quorate completion bash >~/.local/share/bash-completion/completions/quorate",
    'quorate completion zsh >"${fpath[1]}/_quorate"',
    "quorate completion fish >~/.config/fish/completions/quorate.fish",
    "# in this shell alone",
    "source <(quorate completion bash)",
  ],
};
