"""vLLM 0.32.0, CPU build: drafts of sampled requests are verified under temperatures that were never written.

`expand_batch_to_tokens` (vllm/v1/sample/rejection_sampler.py) repeats each request's temperature, top_k and top_p for
its draft tokens. On CPU its kernel is `_expand_kernel_impl` (vllm/utils/cpu_triton_utils.py), which passes
`_ensure_int64(output)`: a copy, unless `output` holds int64. What it writes is lost, and the caller uses fresh memory.

Run it: `python cpu_draft_temperature.py`. Exit status 0: the problem is there.
"""

import sys

import torch
from vllm.platforms import current_platform
from vllm.v1.sample.rejection_sampler import expand_batch_to_tokens


def main() -> int:
    assert current_platform.is_cpu(), "this is about the CPU build"
    current_platform.import_kernels()
    current_platform.register_triton_kernel_overrides()
    ends = torch.tensor([1, 3], dtype=torch.int32)
    is_wrong = False
    for values in (torch.tensor([0.5, 2.0]), torch.tensor([5, 7], dtype=torch.int32), torch.tensor([5, 7])):
        expected = values.repeat_interleave(torch.tensor([1, 2]))
        found = expand_batch_to_tokens(values, ends, 3)
        is_right = torch.equal(found, expected)
        is_wrong |= not is_right
        print(f"{values.dtype}: expected {expected.tolist()}, found {found.tolist()}{'' if is_right else '  <- wrong'}")
    return 0 if is_wrong else 1


if __name__ == "__main__":
    sys.exit(main())
