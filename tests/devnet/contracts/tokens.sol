// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Tokens that break the habits of ERC-20, one habit each (chains-and-cases: B1).

/// Case 2: says no by returning false; the transaction succeeds and nothing is logged.
contract FalseReturningToken {
    uint8 public constant decimals = 6;
    string public constant symbol = "NOPE";
    mapping(address => uint256) public balanceOf;
    event Transfer(address indexed from, address indexed to, uint256 value);

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        if (balanceOf[msg.sender] < value) return false;
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }
}

/// Case 10: keeps one percent of every transfer and logs both parts.
contract FeeToken {
    uint8 public constant decimals = 6;
    string public constant symbol = "FEE";
    address public immutable owner = msg.sender;
    mapping(address => uint256) public balanceOf;
    event Transfer(address indexed from, address indexed to, uint256 value);

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        uint256 fee = value / 100;
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value - fee;
        emit Transfer(msg.sender, to, value - fee);
        balanceOf[owner] += fee;
        emit Transfer(msg.sender, owner, fee);
        return true;
    }
}

/// Case 3: logs transfers that never happen, and returns false after logging one.
contract LyingToken {
    uint8 public constant decimals = 6;
    string public constant symbol = "LIE";
    mapping(address => uint256) public balanceOf;
    event Transfer(address indexed from, address indexed to, uint256 value);

    function lie(address to, uint256 value) external {
        emit Transfer(msg.sender, to, value);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        emit Transfer(msg.sender, to, value);
        return false;
    }
}

/// Case 9: an NFT shares the event's name and indexes its third argument; others index none.
contract NftLike {
    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);

    function give(address to, uint256 tokenId) external {
        emit Transfer(msg.sender, to, tokenId);
    }

    function giveUnindexed(address to, uint256 value) external {
        bytes32 topic = keccak256("Transfer(address,address,uint256)");
        bytes memory data = abi.encode(msg.sender, to, value);
        assembly {
            log1(add(data, 32), mload(data), topic)
        }
    }

    function giveWide(address to, uint256 value) external {
        bytes32 topic = keccak256("Transfer(address,address,uint256)");
        bytes memory data = abi.encode(value, value);
        bytes32 from = bytes32(uint256(uint160(msg.sender)));
        bytes32 recipient = bytes32(uint256(uint160(to)));
        assembly {
            log3(add(data, 32), mload(data), topic, from, recipient)
        }
    }
}

/// Case 21: metadata as bytes32, as MKR has it.
contract Bytes32Token {
    uint8 public constant decimals = 18;
    bytes32 public constant symbol = "MKR";
    bytes32 public constant name = "Maker";
}

/// Case 21: metadata that wants to hurt whoever shows it.
contract HostileToken {
    uint8 public immutable decimals;
    uint256 private immutable size;

    constructor(uint8 decimals_, uint256 size_) {
        decimals = decimals_;
        size = size_;
    }

    function symbol() external view returns (string memory) {
        bytes memory text = new bytes(size);
        for (uint256 i = 0; i < text.length; i += 32) text[i] = "A";
        bytes memory opening = bytes(unicode"<script>alert(1)</script>\u202e\n");
        for (uint256 i = 0; i < opening.length && i < text.length; i++) text[i] = opening[i];
        return string(text);
    }
}

/// Cases 12, 17 and 115: many transfers in one transaction, of one token, to whom you like.
contract TokenSprayer {
    event Transfer(address indexed from, address indexed to, uint256 value);

    uint8 public constant decimals = 6;
    string public constant symbol = "SPRAY";

    function spray(address[] calldata recipients, uint256 value) external {
        for (uint256 i = 0; i < recipients.length; i++) emit Transfer(msg.sender, recipients[i], value);
    }

    function flood(uint256 count, uint256 value) external {
        for (uint256 i = 1; i <= count; i++) emit Transfer(msg.sender, address(uint160(i)), value);
    }
}
