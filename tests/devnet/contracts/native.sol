// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Ways native coin moves inside a transaction, and ways it only seems to (chains-and-cases: B2).

/// Case 25: takes the value, then reverts everything.
contract Reverter {
    function passOn(address payable to) external payable {
        (bool sent, ) = to.call{value: msg.value}("");
        require(sent, "passed on");
        revert("swallowed");
    }
}

/// Case 27: an endowment at creation.
contract Endowed {
    constructor() payable {}
}

/// Case 27: pays whoever it is told when it destroys itself.
contract Bomb {
    constructor() payable {}

    function boom(address payable to) external {
        selfdestruct(to);
    }
}

/// Case 26: code that pays on behalf of whoever runs it.
contract Payer {
    function pay(address payable to, uint256 value) external payable {
        (bool sent, ) = to.call{value: value}("");
        require(sent, "pay");
    }
}

contract Multi {
    Reverter private immutable reverter = new Reverter();
    Payer private immutable payer = new Payer();

    event Created(address at);

    receive() external payable {}

    /// Case 24: equal parts to each, by inner calls.
    function send(address payable[] calldata recipients) external payable {
        uint256 part = msg.value / recipients.length;
        for (uint256 i = 0; i < recipients.length; i++) {
            (bool sent, ) = recipients[i].call{value: part}("");
            require(sent, "send");
        }
    }

    /// Case 25: the inner call succeeds under a frame that reverts, and this one succeeds.
    function swallow(address payable to) external payable {
        try reverter.passOn{value: msg.value}(to) {} catch {}
    }

    /// Case 25: everything reverts.
    function revertAll(address payable to) external payable {
        (bool sent, ) = to.call{value: msg.value}("");
        require(sent, "send");
        revert("all");
    }

    /// Case 26: the delegated frame shows the value, the call below it moves it.
    function dele(address payable to) external payable {
        (bool done, ) = address(payer).delegatecall(abi.encodeCall(Payer.pay, (to, msg.value)));
        require(done, "dele");
    }

    /// Case 27: a contract that is born, and destroys itself to `to`, in one transaction.
    function boom(address payable to) external payable {
        new Bomb{value: msg.value}().boom(to);
    }

    /// Case 27: CREATE and CREATE2 with an endowment.
    function endow(bytes32 salt) external payable {
        emit Created(address(new Endowed{value: msg.value / 2}()));
        emit Created(address(new Endowed{value: msg.value - msg.value / 2, salt: salt}()));
    }

    /// Calls itself `depth` times before it pays: as deep as gas allows.
    function dive(uint256 depth, address payable to, uint256 value) external payable {
        if (depth == 0) {
            (bool sent, ) = to.call{value: value}("");
            require(sent, "dive");
        } else {
            this.dive(depth - 1, to, value);
        }
    }
}
