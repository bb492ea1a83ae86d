"""The commands that prove a network made here, with the options with which it was proven."""


def tell(directory, options="", memory="", model="model.onnx"):
    """Prints them; `options` are those of `kiln compile`, `memory` the bound of `kiln prove`."""
    bound = f" --memory {memory}" if memory else ""
    print(
        f"kiln compile --model {directory}/{model} --calibration {directory}/calibration.json -o {directory}/compiled {options}".rstrip(),
        f"kiln prove --compiled {directory}/compiled --record {directory}/record.json -o proof.bin --public public.json{bound}",
        f"kiln verify --proof proof.bin --vk {directory}/compiled/model.vk --public public.json",
        sep="\n",
    )
