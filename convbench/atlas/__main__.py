from convbench.atlas.markdown import markdown

print(markdown(), end="")
