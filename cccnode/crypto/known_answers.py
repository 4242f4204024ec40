"""Signatures with known verdicts, with which a back end is tried before it is used.

The rows are messages of a fixed pattern by length, keys, signatures and verdicts: good ones at every boundary of the
hash, and keys and R with a part of small order, which a lax verifier judges otherwise.  `answers` adds what can be
derived from them: changed bits, S beyond the order, small-order keys and R.  tests/crypto checks each against PyNaCl,
and that `python -m tests.crypto.cases` prints these rows.
"""

from typing import Any, Final

from cccnode.crypto.strict import SMALL_ORDER

_L: Final = 2**252 + 27742317777372353535851937790883648493
_TABLES_BYTES: Final = 8 << 20

ROWS: Final = (
    (
        0,
        "6887fc1f774fd16b4558221568e23adf4bacaba370626069d6ccca90e160f983",
        "7b68ee5edab94e501d5a5c6a64e5bff0252cfa41f1952208d363b1f0b23dd796",
        "fcef05ee89393b4a396fa37c2e6399f4e04cd4a2b55358b223eab1ed5eec9f06",
        True,
    ),
    (
        1,
        "88c688649225bd08718a19b85340a02655e01833b8a18558ffe9ea1b2cc4bd16",
        "119d60205b8e4f606c62aa4f2e545bb3450c601e5048bf9d4348893cbc7a0c80",
        "cf9e18350098a445b18e3edbda0f7313a8a5add619a07a9bba901b7e9b7cac0a",
        True,
    ),
    (
        31,
        "bd67a239359a9c3ca2a7a4544397755cf016ed07dbb67c507ae55560345a1c49",
        "5b3b5a1ae134f6046ac35652b9441d749f85ecdeab8b78222f2abb2156fc2279",
        "36780df6d98f9ddfdb2b45d1f99149046136b8c026912d671f78afc63fede305",
        True,
    ),
    (
        32,
        "b12e793ef1e7b1138f2b807b8cc4d2add3ab8f8c96128947c097d35a59089f8f",
        "07d5a879af19dab840ab537d45ea17f18929bd3b621ed0244b2edbc4b34e7a73",
        "d699ddb30817d7210bd9b88276ce2bbc3b09de6a47f3c92e9de082abcd6de701",
        True,
    ),
    (
        46,
        "3147dd0f05278b7dd55b419b2676ed553255dec3321f785f2dd05a067c8a4265",
        "c1c663e85a2ea93b8362e5e5c00ef1a400fdaddaf737296b0a6614284dcafd90",
        "3b1e51e8401867fdc4fe12937420efe9531392715c41e85615c9f5edc7a20b05",
        True,
    ),
    (
        47,
        "74218093b0175c4599964802f8a04c2c2f593ebd72c8cb2032e44c2a0e14de8b",
        "60539a568d6338a699f4892e02c45e88685be1d11df67db46bf9181e92204f68",
        "9edb31fff10cdf9368e735f0e0360b742a2f3016b8ecc514921b97f40ccfea04",
        True,
    ),
    (
        48,
        "6072f039c46aa2337725142f326e4f410164d7234c7f6d26311bbd7ebb1d27d3",
        "886e3b80c60ee788fbb652a0ec9cbf53549df192b6169b883b688bc7337cb514",
        "88850cf02d4ca28bc7c4cb743c26d16de7f8a2c3c223ee75fdf9082d4a37ea0c",
        True,
    ),
    (
        63,
        "7183199a2476e9b9441975ae86a417a9079be9880a459f018c48f514138b775d",
        "6598746fbeb774751dc4d98c48f50a034b1893b2ffab0b3c4672614883dc6eac",
        "c1ce5c07e63cb37f0636e372cec19f6c5513fdb120a08c2d95e44255f5b95002",
        True,
    ),
    (
        64,
        "d887830c4b2477d98422f7d2990c0a677512dc2c3575e28200ce75f6a93303e9",
        "b0aefd3b98ace0445d42f9bee4519dfb77d61f470e79733edac276408606279f",
        "6c4950b7cd6b5b671c8d19e00a61162a4e3cd1923d2d95294354854290777608",
        True,
    ),
    (
        65,
        "01781adc192dec2d493483be6189bbc51021dbb4e6d2b413199dfff2634d1321",
        "17a74295cdd068ac433afb265a413967deff66dc5c3aaa3e96f3f3e9d297a7bb",
        "7e34e9fd309cbfab31d79a805a994343ea65bcd9c9f407419e588b123b7f2606",
        True,
    ),
    (
        110,
        "3f4521c464eff0938f5d7125453d7baa1b85242bbde5f367036709ead1ae7020",
        "e13b9f881db4109ccb0f395bfb3fc3af8622fdbcf0e7e1819bff97df156aa022",
        "6519f7a7619857ee7e305145d1e99acd4bbf1cbae604888e65b1988b9a698609",
        True,
    ),
    (
        111,
        "80b441277b3d7297c63c48af6728f4e93a319ed7c2a8adc728c16df0578e924e",
        "897f70d52e189e5e6a4b8a6e33a2a741a1488d4c1d2f908e85ebd806c446336a",
        "d6c2f7743c3ce7eb89cff6b37ac153e0b6698ee608d2714ac7c28a43797fe506",
        True,
    ),
    (
        112,
        "f242cc030a91db454c5e5b5210f20d7ad3b219697a862e98d1418399239d2509",
        "113e16201cecbc84d4551b63af866a41d9dd3128838da998271603a27e59650c",
        "9df5b4c8be494cf80d6e7bcaf215c4b774cb941f1290abbc4432fb579f9aad04",
        True,
    ),
    (
        127,
        "d1791510f762f84bd1c8acc01c6a0d874cd503ed574ea7b4298a8e594cb4e8ea",
        "84d88ebc678d5312bf1ea029f0b7cf7db1130dca2b32328a7e6941aad4527169",
        "46b42f3a3ad0d4dec73323379a5e929cce61e3c1848921a9a6b91c7f66fa3b0b",
        True,
    ),
    (
        128,
        "8a2e312488bb0b6651810b58f9e14c4ee9d713c3b913b29850877c45420b6345",
        "6085c0af39c292ba6514c9a0fc3c07c18fd50fd460eb89269b22f121a85bae3e",
        "986735b46358d9c723b181978bfbd0bd5b660e9d9b0b2d6b09fc0bd6fbd46300",
        True,
    ),
    (
        129,
        "64589d89111a26ab762503877de9a75c045008047b3fc71fc6ccf90a80a5d091",
        "1558871e75a784666dfb1bc283d81c94a3a38ffff7eb0d0a4a2144d46d84caeb",
        "b82909cc17a4df6d399da59c2aad649b38e749dccbc7f01eab15894024178807",
        True,
    ),
    (
        174,
        "4ff1e929187d8d45e28f53b1b000fc7eb4531e8ad98d73700b2eb74d0ec36ab4",
        "248d7ba7d31d02957284ae8b5d300b5b7976444ecae6fba8e701a23aeed29c6b",
        "c1b8688cb0230e04c077f935ceeaef9ddfe1125e2e434694bda9e66cc44e1a0c",
        True,
    ),
    (
        175,
        "221ba78ef180328f73c62174fea3df881e59ebb9aae97a67829c4e0f0d459660",
        "c84ebaf900d076ffec5a810c2777b3ef6759590ed74947f94d0565a4a37f413c",
        "5b37044c45dc88d9fe070f5a87c9eda02b3b0c9f8bf6398d5c6830eb90b38806",
        True,
    ),
    (
        176,
        "90c2e72cf2a3091bb63b2b7f4c3a7cd01d11389b4b45602d03a05f56f95e65da",
        "a563d599734ac551b6b8f8b72f9896c648f685dcc306ab7eeeede864c66952fe",
        "9cb7f6255b48cbb7dc3ac7d88b7e63a3fedfc17bd68616e4b86cfdd54cfb2001",
        True,
    ),
    (
        191,
        "bcd80f02ea2469479f3f26a9ef81f69e91195ec3ae84071bd0cb05c95e574956",
        "3c237d5a1621b3d8366143ba7c1f437437f0dd334c154ee210cb1b02c9139f30",
        "4430b4aa63a255644b02977c4562aa6a200108be2a1aca18a68a8d1ed82f9d07",
        True,
    ),
    (
        192,
        "cacadf6ab89caba02d83a1b351cb570651521830e38ebc90bc1e6708c7e4317f",
        "d8986b9318b2b428cf6f56f7c32f58c722fd57f1428687377b58c294f6702ffa",
        "684ec3df1d338224da94dbff74d6336431c851fd26adde30891e56e415ff040a",
        True,
    ),
    (
        193,
        "0afb5174786b109d8c0ae84ff02ba268fba99021d6f7030d793ee0fd5d0e3034",
        "e4a3e62629f57e7b25b63671a346f48a82a4ee5d8b379a8c7f91c4260b7edd5c",
        "397782c1923043859a92dfd77d5f8c2eb0c597ff39cfa23d61936aad0b8b6e0b",
        True,
    ),
    (
        500,
        "60dd712438cd3eec20381024d61363583a12a3ddbfc3fdee6584a2d469f4ff30",
        "7c8c8280455a689c1ad6dc3c02e2a8f1544cdeaac1c88ee576867effdf446a5a",
        "c4600118cfc6f0beecc6d9940aedeba38bf0999ca21a243d3ea146de9946da05",
        True,
    ),
    (
        40,
        "b5cb239eb085decade354d5cb4c8f3d6d38a3d91c111ed47290aee6b3026c661",
        "910e6dc8dca065284ff86ad8108f5372d77d115d2b47ac587eed07f676625921",
        "0d7235f06f5968ffe07edd2f5792f2bfcf003c7b5b75059c01927f3baa429508",
        False,
    ),
    (
        40,
        "0f9e7814e4899cfc0fde6c4ed7ec7c6e861c705521ad103d3b1e02f44c47586f",
        "af0beba90b999ccfce15b0e4766c8a43c3c026fcc66b94fe57e7c631a8b15a54",
        "16dc8ad8130e77a27f7b3f60fcc6aeba4a1d2363adfa2ac574bae971ff13ae04",
        False,
    ),
    (
        40,
        "453886fc75825b90ba8e12301dd321322e5179015124d63cb59b4b66da0607d2",
        "98e3a06d3eaf04dfed2ee6b818f06e0f3138f8782cf438dd6609b30da9d81a95",
        "61a04125ef517ee8501bc237fe9984dbb6f8c04ad7dce8262ab70590deedf502",
        False,
    ),
    (
        40,
        "b60623f95fac18f16a7681d624b049751e876f44a0506fb64ff40ba75bfe4ceb",
        "54190227b4b3777ad9c206ddd45a25bd8d29e393bdd479d12052c01e34a0909e",
        "500d83cc983b69101d720267b355ea9267e33fdf3305da6b9859593eea3b5e0a",
        False,
    ),
    (
        40,
        "81cb01f46497d1435f6d53ed96ec98cafed3e14aa69464e788ad15a14c0905d3",
        "c6a19f4cf0f557db6e08f4b4cc37dba7d1a9054639bc43896744337e9be2cfdd",
        "b6bfc81fdebf52ceff16ac4c0f3089db67dccc2765be4fc83294d8283c6dcc08",
        True,
    ),
    (
        40,
        "1e4ef0a00682a41d15f8e379a925c5ecd12b24c7a748d8fcf78ccc8b4fcf9cf4",
        "b1025dfaf7336d69d57bdb54a5710224ffacbfd799392a843c415968595294f9",
        "c971461234bc84cd4fc40b8e2ee8d80b7483426042ad392aad97d304dffeca03",
        False,
    ),
    (
        40,
        "acbe31bb37e615a571baae494214b26b7be100dc5935bbeae314c20f1d4fae0c",
        "370405cb39215c029cbbbacb47c5a76afbed57694b16689dbe69ae8413595463",
        "5b2fba0bf01936cfdf6de2615266c182db7691fc414dc75820c37be1f85a3e06",
        True,
    ),
    (
        41,
        "dc242ef9cf39976065e4812b51c2adbc1fc4bd3670342734aade2dd32a6d984b",
        "cbbf159c2cec41c83473eefd6fb685c569f79c33a31b613f92b7ffdca6f61454",
        "8de30b37d3a7760e799ada313214bf49493fb5982bdabebd0c53775ff9f18709",
        True,
    ),
    (
        41,
        "a5b2fe4b450ca840fbc68eb6af60ee1d850d945da47361d13e9360e5fe6c1ed3",
        "904b77f9016a001705d6d9f4111cb4f047df7db3d85413ec0752025b0a6ba944",
        "e7ad322d506591fa06d6124f655bc68f6ea39f5f2121d7cb59a5dc0f7d899e0d",
        True,
    ),
    (
        41,
        "a05cd09647734d40733aeb3b6265ba51fe8c190013a3e56cdaba99e4185a105e",
        "d1f65cec6e8ef70782b3e0acd7349a67b22dbe9da9120b4b84dcd37bdc7e2f08",
        "48dde01c3345996da1902ba14cc96b6e1a8ed55b56c38274e890a7aefd262101",
        True,
    ),
    (
        41,
        "1b6f59edd24a159cc9bdaa0545327fe6ae2de79fde60300864cba997def76541",
        "b34ee0fde50243eca87b344b8ed61c39db139e49add5d0143072a498c35484f7",
        "099c1783ed664aacccc67ad0aa068ef4ecdb5735228cfa39a0ba0c06aca6110d",
        True,
    ),
)
"""(length of the message, key, R, S, whether it is valid)"""

Answer = tuple[bytes, bytes, bytes, bool]
"""Message, signature, key, verdict."""


def pattern(length: int) -> bytes:
    """A message."""
    return bytes(at * 7 & 255 for at in range(length))


def answers() -> list[Answer]:
    """About 200."""
    known = [
        (pattern(length), bytes.fromhex(r + s), bytes.fromhex(key), verdict) for length, key, r, s, verdict in ROWS
    ]
    derived: list[Answer] = []
    for message, signature, key, verdict in known:
        if verdict:
            s = int.from_bytes(signature[32:], "little")
            derived += [
                (message + b"\0", signature, key, False),
                (message, signature[:32] + (s + _L).to_bytes(32, "little"), key, False),
                *((message, _flipped(signature, bit), key, False) for bit in (0, 255, 256, 500)),
            ]
    message, signature, key, _ = known[0]
    for encoding in sorted(SMALL_ORDER):
        derived.append((message, encoding + bytes(32), encoding, False))
        derived.append((message, encoding + signature[32:], key, False))
    return [*known, *derived]


def _flipped(signature: bytes, bit: int) -> bytes:
    return (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")


def failures(kernel: Any, number: int) -> list[str]:
    """What back end `number` of the extension answers wrongly, one line each; with and without tables."""
    asked = answers()
    wrong = []
    cache = kernel.keys_new(0, 0)
    for message, signature, key, verdict in asked[::8]:  # one at a time is a way of its own
        given, _ = kernel.verify(cache, number, [message], [signature], [key])
        if given != [verdict]:
            wrong.append(f"alone: key {key.hex()}, signature {signature.hex()}: said {given[0]}")
    for order in (asked, asked[::-1]):
        messages, signatures, keys, verdicts = (list(column) for column in zip(*order, strict=True))
        cache = kernel.keys_new(_TABLES_BYTES, 0)
        kernel.keys_register(cache, tuple(keys))
        for attempt in ("without tables", "with some tables", "with tables"):
            given, _ = kernel.verify(cache, number, messages, signatures, keys)
            wrong += [
                f"{attempt}: key {keys[at].hex()}, signature {signatures[at].hex()}: said {given[at]}"
                for at in range(len(asked))
                if given[at] is not verdicts[at]
            ]
    return wrong
