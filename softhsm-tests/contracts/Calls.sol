// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// What the tests of declared functions call.
contract Calls {
    struct Part {
        address to;
        uint128[] amounts;
    }

    struct Flat {
        int24 tick;
        bool flag;
        bytes3 tag;
    }

    mapping(address => uint256) public staked;

    event Staked(bytes key, address owner, uint256 amount);

    function stake(bytes calldata key, address owner, uint256 amount) external payable {
        require(msg.value == amount, "another value");
        staked[owner] += amount;
        emit Staked(key, owner, amount);
    }

    /// The arguments as the compiler encodes what it has decoded.
    function echo(
        Part[2] memory parts,
        Flat memory flat,
        string memory note,
        bytes[][] memory blobs,
        uint8[3][] memory digits
    ) external pure returns (bytes memory) {
        return abi.encode(parts, flat, note, blobs, digits);
    }
}
