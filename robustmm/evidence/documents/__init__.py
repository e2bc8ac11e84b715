"""An audit's result in the forms of other tools: a bill of materials, a model card."""
